import { MAX_INPUT_BYTES } from './mutate-bytes.ts';
import { type Chance, pick } from './random.ts';

/**
 * JSON as a tree that can also say what JSON.parse would not keep: a name twice, another spelling of a number, a lone
 * surrogate. Names are written sorted, so that an edit of canonical JSON mostly stays canonical.
 */
type Tree =
  | { readonly kind: 'object'; readonly members: [name: string, value: Tree][] }
  | { readonly kind: 'array'; readonly items: Tree[] }
  | { readonly kind: 'raw'; text: string };

type Branch = Exclude<Tree, { kind: 'raw' }>;

function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(treeOf) };
  if (value !== null && typeof value === 'object') {
    return { kind: 'object', members: Object.entries(value).map(([name, inner]) => [name, treeOf(inner)]) };
  }
  return { kind: 'raw', text: JSON.stringify(value) };
}

function textOf(tree: Tree, sorted: boolean): string {
  if (tree.kind === 'raw') return tree.text;
  if (tree.kind === 'array') return `[${tree.items.map((item) => textOf(item, sorted)).join(',')}]`;
  const members = sorted ? tree.members.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)) : tree.members;
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${textOf(value, sorted)}`).join(',')}}`;
}

const deep = (open: string, close: string, depth: number): string => open.repeat(depth) + close.repeat(depth);

const VALUES: readonly string[] = [
  ...['null', 'true', 'false', '0', '-0', '1', '-1', '1.0', '1.5', '1e3', '1E400', '-1e-7', '""', '"0"', '[]', '{}'],
  ...['2147483647', '4294967296', '9007199254740991', '9007199254740992', '18446744073709551615', '-9007199254740991'],
  ...['"\\u0000"', '"\\ud800"', '"\\/"', '"\u202e"', '"\\u0041"', '"__proto__"', '"../../x"', '"-0"', '"00"', '"NaN"'],
  ...['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}', '{"then":1}', '[null]', '[[]]'],
  ...['{"a":1,"a":2}', '{"toString":1}', '{"length":4294967295}', '[,]', 'nul', '"', '01'],
  ...[deep('[', ']', 31), deep('[', ']', 33), deep('{"a":', '}', 40).replace('}', '0}'), deep('[', ']', 5000)],
  ...[`[${'0,'.repeat(4000)}0]`, `"${'a'.repeat(5000)}"`, `"${'0'.repeat(64)}"`, `"${'A'.repeat(43)}="`],
];

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  '',
  '0',
  'v',
  'sig',
  'kind',
  'body',
  'zzz',
  '\u0000',
  '\ud800',
];

function branchesOf(tree: Tree, found: Branch[] = []): Branch[] {
  if (tree.kind === 'raw') return found;
  found.push(tree);
  const inside = tree.kind === 'array' ? tree.items : tree.members.map(([, value]) => value);
  for (const inner of inside) branchesOf(inner, found);
  return found;
}

const slots = (branch: Branch): number => (branch.kind === 'array' ? branch.items.length : branch.members.length);
const at = (branch: Branch, i: number): Tree => (branch.kind === 'array' ? branch.items[i]! : branch.members[i]![1]);
function put(branch: Branch, i: number, value: Tree): void {
  if (branch.kind === 'array') branch.items[i] = value;
  else branch.members[i]![1] = value;
}

/** A value near the one that is there: a number one off, a string one character off. */
function near(chance: Chance, tree: Tree): Tree {
  if (tree.kind !== 'raw') return { kind: 'raw', text: pick(chance, VALUES) };
  if (/^-?\d+$/.test(tree.text)) {
    const number =
      BigInt(tree.text.slice(0, 30)) * BigInt(pick(chance, [1, 1, 1, 2, -1])) + BigInt(chance.below(5) - 2);
    return { kind: 'raw', text: String(number) };
  }
  if (!tree.text.startsWith('"') || tree.text.length < 3) return { kind: 'raw', text: pick(chance, VALUES) };
  const inner = tree.text.slice(1, -1);
  const i = chance.below(inner.length);
  const by = pick(chance, [
    '',
    inner[i]!.repeat(2),
    '0',
    'A',
    'z',
    ' ',
    '-',
    '\\n',
    '\u00e9',
    '\\u0000',
    '=',
    '/',
    '.',
  ]);
  return { kind: 'raw', text: `"${inner.slice(0, i)}${by}${inner.slice(i + 1)}"` };
}

function changeBranch(chance: Chance, branch: Branch, all: readonly Branch[]): void {
  const i = chance.below(slots(branch));
  const empty = slots(branch) === 0;
  const donor = pick(chance, all);
  const given: Tree = slots(donor) > 0 ? at(donor, chance.below(slots(donor))) : donor;
  switch (chance.below(9)) {
    case 0:
      if (branch.kind === 'array') branch.items.splice(i, 1);
      else branch.members.splice(i, 1);
      return;
    case 1:
      if (empty) return;
      if (branch.kind === 'array') branch.items.splice(i, 0, branch.items[i]!);
      else branch.members.push([branch.members[i]![0], given]); // the name twice
      return;
    case 2:
      if (branch.kind === 'array') branch.items.push({ kind: 'raw', text: pick(chance, VALUES) });
      else branch.members.push([pick(chance, NAMES), { kind: 'raw', text: pick(chance, VALUES) }]);
      return;
    case 3:
      if (branch.kind === 'array') branch.items.reverse();
      else if (!empty)
        branch.members[i]![0] = pick(chance, [...NAMES, branch.members[chance.below(slots(branch))]![0]]);
      return;
    case 4:
      if (branch.kind === 'array' && !empty) {
        const times = pick(chance, [2, 65, 300, 1025]);
        for (let n = 0; n < times; n++) branch.items.push(branch.items[i]!);
      }
      return;
    case 5:
    case 6:
      if (!empty) put(branch, i, near(chance, at(branch, i)));
      return;
    case 7:
      if (!empty) put(branch, i, given.kind === 'raw' ? { ...given } : { kind: 'raw', text: textOf(given, true) });
      return;
    default:
      if (!empty) put(branch, i, { kind: 'raw', text: pick(chance, VALUES) });
  }
}

/**
 * One to three edits of a JSON text's structure.
 *
 * @returns null where the text is no JSON object or array, or nested too deep for this recursion.
 */
export function mutateJsonText(chance: Chance, text: string): string | null {
  try {
    return editedText(chance, treeOf(JSON.parse(text)));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return null;
    throw error;
  }
}

function editedText(chance: Chance, tree: Tree): string | null {
  if (tree.kind === 'raw') return null;
  for (let left = 1 + chance.below(3); left > 0; left--) {
    const branches = branchesOf(tree);
    changeBranch(chance, pick(chance, branches), branches);
  }
  const written = textOf(tree, chance.below(16) !== 0);
  switch (chance.below(32)) {
    case 0:
      return ` ${written}`;
    case 1:
      return `${written}\n`;
    case 2:
      return written + written;
    case 3:
      return written.replaceAll(',', ', ');
    default:
      return written;
  }
}

export function mutateJson(chance: Chance, bytes: Uint8Array): Uint8Array | null {
  const text = mutateJsonText(chance, new TextDecoder().decode(bytes));
  return text === null ? null : new TextEncoder().encode(text).slice(0, MAX_INPUT_BYTES);
}
