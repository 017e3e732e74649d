import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { federationField } from '../../src/config/federation.ts';
import { decodeSafetensors, encodeSafetensors } from '../../src/learning/safetensors.ts';
import { folderReader } from '../../src/log/log-folder.ts';

/** Clears a screen, colours, sets a title (C1 form), reverses what follows, starts a line of our own. */
const HOSTILE = 'x\u001b[2J\u001b[31m\u009d0;title\u009c\u202e\u2028\u{e0041}\nveilsum: all is well';
const scratch = mkdtempSync(join(tmpdir(), 'veilsum-hostile-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

afterEach(() => {
  vi.doUnmock('../../src/platform/inert-text.ts');
  vi.restoreAllMocks();
  vi.resetModules();
});

/** The check weakened: text goes out as it came. */
function letThrough(): void {
  vi.resetModules();
  vi.doMock('../../src/platform/inert-text.ts', () => ({ inert: (t: string) => t, inertLine: (t: string) => t }));
}

/** All that a terminal would get: results, errors with their causes, and a party's events. */
async function shown(): Promise<string> {
  const { print } = await import('../../src/cli/output.ts');
  const { reportError } = await import('../../src/cli/exit.ts');
  const { sayTo } = await import('../../src/party/events.ts');
  const written: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0);
  print(HOSTILE);
  vi.restoreAllMocks();
  reportError(new Error(HOSTILE, { cause: new Error(HOSTILE) }), (line) => written.push(line), true);
  sayTo('node-1', (line) => written.push(line))('fault', { error: HOSTILE });
  return written.join('');
}

const ACTIVE = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

describe('text of strangers in terminals and logs', () => {
  it('is spelt out wherever it is printed', async () => {
    const text = await shown();
    expect(text).not.toMatch(ACTIVE);
    expect(text).toContain('\\u001b[2J');
    expect(text).toContain('\\udb40\\udc41');
  });

  it('control: printed as it comes, it acts', async () => {
    letThrough();
    expect(await shown()).toMatch(ACTIVE);
  });

  it('an event stays one line of JSON with the same meaning', async () => {
    const { sayTo } = await import('../../src/party/events.ts');
    const lines: string[] = [];
    sayTo('node-1', (line) => lines.push(line))('fault', { error: HOSTILE });
    expect(lines.join('').split('\n')).toHaveLength(2);
    expect(JSON.parse(lines[0]!).error).toBe(HOSTILE);
  });

  /** A card that somebody handed over, with a field whose name is a line of output. */
  const handed = JSON.stringify({ version: 1, [HOSTILE]: 1 });

  it('the name of an unknown field begins no line', async () => {
    const { parseValidated } = await import('../../src/config/files.ts');
    expect(() => parseValidated(handed, 'the file', federationField)).toThrow(/unknown field/);
    expect(() => parseValidated(handed, 'the file', federationField)).not.toThrow(/^veilsum:/m);
  });

  it('control: unescaped, it does', async () => {
    letThrough();
    const { parseValidated } = await import('../../src/config/files.ts');
    expect(() => parseValidated(handed, 'the file', federationField)).toThrow(/^veilsum:/m);
  });
});

describe('folders of strangers', () => {
  const folder = join(scratch, 'log');
  const outside = join(scratch, 'outside');
  mkdirSync(join(folder, 'tile', '0'), { recursive: true });
  mkdirSync(join(outside, 'entries'), { recursive: true });
  writeFileSync(join(folder, 'tile', '0', '000'), 'a tile');
  writeFileSync(join(outside, 'entries', '000'), 'a secret');
  const read = (path: string): string | undefined => {
    const bytes = folderReader(folder)(path);
    return bytes && Buffer.from(bytes).toString();
  };

  it('a file inside is read, also where the folder itself was named by a link', () => {
    expect(read('tile/0/000')).toBe('a tile');
    symlinkSync(folder, join(scratch, 'named'));
    expect(folderReader(join(scratch, 'named'))('tile/0/000')).toBeDefined();
  });

  it('no link leads out, neither the file nor a folder on its way; control: the system follows it', () => {
    symlinkSync(join(outside, 'entries'), join(folder, 'tile', 'entries'));
    symlinkSync(join(outside, 'entries', '000'), join(folder, 'tile', '0', '001'));
    expect(read('tile/entries/000')).toBeUndefined();
    expect(read('tile/0/001')).toBeUndefined();
    expect(readFileSync(join(folder, 'tile/entries/000'), 'utf8')).toBe('a secret');
  });

  it('a pipe or a device blocks nobody', () => {
    execFileSync('mkfifo', [join(folder, 'tile', '0', '002')]);
    expect(read('tile/0/002')).toBeUndefined();
    expect(folderReader('/dev')('zero')).toBeUndefined();
  });
});

describe('names of strangers as keys', () => {
  it('a tensor named __proto__ or constructor is a tensor; control: in a plain object it is lost', () => {
    const tensors = ['__proto__', 'constructor'].map((name) => ({ name, shape: [1], values: new Float32Array([1]) }));
    expect(decodeSafetensors(encodeSafetensors(tensors)).map(({ name }) => name)).toEqual(['__proto__', 'constructor']);
    const plain: Record<string, unknown> = {};
    for (const { name } of tensors) plain[name] = {};
    expect(JSON.stringify(plain)).toBe('{"constructor":{}}');
  });
});
