import { existsSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

export interface PageFile {
  readonly path: string;
  readonly type: string;
  readonly text: string;
}

/** Modules of the page without their ending, beside this file. The page names the first. */
const MODULES = [
  'page/main',
  'page/client',
  'page/ranking',
  'page/evidence',
  'page/summaries',
  'page/show',
  '../page/elements',
];

/**
 * The page and what it is made of. Its modules are TypeScript in a checkout, of which the types are stripped here as
 * Node does for ours, and JavaScript in a package. A browser asks for either as `/NAME.js`.
 */
export function pageFiles(): PageFile[] {
  const modules = MODULES.map((module) => {
    const source = place(`${module}.ts`);
    const text = existsSync(source) ? stripTypeScriptTypes(read(source)) : read(place(`${module}.js`));
    return { path: nameOf(module), type: 'text/javascript; charset=utf-8', text: flatten(text) };
  });
  return [
    { path: '/', type: 'text/html; charset=utf-8', text: read(place('page/page.html')) },
    { path: '/page.css', type: 'text/css; charset=utf-8', text: read(place('page/page.css')) },
    ...modules,
  ];
}

function place(name: string): URL {
  return new URL(`./${name}`, import.meta.url);
}

function read(file: URL): string {
  return readFileSync(file, 'utf8');
}

/** What a browser calls a module: all of them are served from one folder. */
function nameOf(module: string): string {
  return `/${module.split('/').at(-1)}.js`;
}

function flatten(text: string): string {
  return text.replaceAll(/(\bfrom ')(\.[^']*)\.(?:ts|js)'/g, (_, start, module) => `${start}${nameOf(module)}'`);
}
