import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { LogReader } from '../../src/party/log-reader.ts';
import { decodeParts } from '../../src/party/parts.ts';
import { type Child, FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

// A member and a node come back from old copies of their folders in the middle of rounds. What they did is in the log: they read
// it before they act, so nothing is done twice, and the rounds end with exact sums.

/** The control: parties that act as if the log did not show what they did themselves. */
const forgets = vi.hoisted(() => new Set<string>());

vi.mock('../../protocols/node.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/node.ts')>();
  const nodeDuties: typeof original.nodeDuties = (t, name, holds) => {
    if (!forgets.has(name)) return original.nodeDuties(t, name, holds);
    const rounds = [...t.rounds].map(([id, round]): [string, unknown] => {
      if (round.phase !== 'confirming') return [id, round];
      const confirms = new Map([...round.attempt.confirms].filter(([node]) => node !== name));
      return [id, { ...round, attempt: { ...round.attempt, confirms } }];
    });
    return original.nodeDuties({ ...t, rounds: new Map(rounds) as typeof t.rounds }, name, holds);
  };
  return { ...original, nodeDuties };
});
vi.mock('../../protocols/member.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/member.ts')>();
  const memberDuties: typeof original.memberDuties = (t, name, ...rest) =>
    original.memberDuties(t, name, ...rest).map((duty) => {
      if (duty.duty !== 'answer' || !forgets.has(name)) return duty;
      const answers = new Map([...duty.decision.answers].filter(([member]) => member !== name));
      return { ...duty, decision: { ...duty.decision, answers } };
    });
  return { ...original, memberDuties };
});

const nodes = ['one', 'two', 'three'];
let lab: FederationLab;
let number = 0;

beforeAll(async () => {
  const task = { uploadMs: 120_000, confirmMs: 120_000 };
  lab = await FederationLab.start({ nodes, task, coordinator: { holderMs: 120_000 } });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

const copyOf = (name: string): string => join(lab.folder, 'copies', name);

/** The whole folder, secrets of running rounds and all: what a copy of the machine holds. */
function copyFolder(name: string): void {
  rmSync(copyOf(name), { recursive: true, force: true });
  cpSync(lab.path(name), copyOf(name), { recursive: true });
}

function restoreFolder(name: string): void {
  rmSync(lab.path(name), { recursive: true });
  cpSync(copyOf(name), lab.path(name), { recursive: true });
}

async function stopAndCopy(name: string): Promise<void> {
  await lab.stop(name);
  copyFolder(name);
}

/** Stops a party that runs here, and starts what its folder was when it was copied. */
async function restore(name: string): Promise<{ readonly log: LogReader }> {
  await lab.stop(name);
  restoreFolder(name);
  return (await lab.run(name)) as unknown as { readonly log: LogReader };
}

async function opened(id: string): Promise<void> {
  expect(await lab.end(id)).toBe('released');
  expect(await lab.result(id)).toEqual(plainSum(nodes, ++number, 300));
  expect(lab.round(id).attempts).toHaveLength(1);
}

/** How often a party's duty was refused by the log, and with which code. */
const refusedTo = (name: string) =>
  lab.events.filter(({ party, event }) => party === name && event === 'duty failed').map(({ code }) => code);

/** Both copies are from before the round; both parties are processes of their own, killed in the middle of it. */
it('from before the round: a member goes without its lost key, a node uploads once, under another key', async () => {
  for (const name of ['member-1', 'one']) await stopAndCopy(name);
  const points = { 'member-1': 'after:Append:ready', one: 'before:Upload' };
  const children = new Map<string, Child>();
  for (const [name, point] of Object.entries(points)) children.set(name, await lab.spawn(name, point));
  const lost: Uint8Array[] = [];
  const back = [...children].map(async ([name, child]) => {
    expect(await child.ended).toBe('SIGKILL');
    if (name === 'one') lost.push(...keptUpload());
    restoreFolder(name);
    children.set(name, await lab.spawn(name));
  });
  const id = await lab.open();
  await opened(id);
  await Promise.all(back);
  const { record, uploads, decision } = lab.round(id) as Extract<ReturnType<typeof lab.round>, { phase: 'released' }>;
  expect(decision.attempt.ready).toContain('member-1');
  expect([...decision.answers.keys()]).not.toContain('member-1'); // its key of the round is in no backup
  expect(lab.log.transcript.announces.get(record.announce)!.roundKeys.size).toBe(4);
  expect(lost).toHaveLength(2);
  expect(uploads.get('one')!.body.payloadHash).not.toBe(Buffer.from(lost[0]!).toString());
  for (const child of children.values()) {
    child.process.kill('SIGKILL');
    await child.ended;
  }
  for (const name of children.keys()) await lab.run(name);
}, 60_000);

/** Payload hash and one-time key of the upload that the node prepared and never sent. */
function keptUpload(): Uint8Array[] {
  const rounds = join(lab.path('one'), 'rounds');
  const [round] = readdirSync(rounds, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const [, payloadHash, key] = decodeParts(readFileSync(join(rounds, round!.name, 'upload')));
  return [payloadHash!, key!];
}

/** Copies with all secrets of the round: of a node that has uploaded, and of a member that is ready. */
async function roundWithCopies(isWeak: boolean): Promise<void> {
  await lab.stop('three');
  const id = await lab.open(1 + number);
  const attempt = () => lab.round(id).attempts[0]!;
  await lab.until(id, (r) => r.uploads.size === 2);
  await stopAndCopy('one');
  await lab.run('one');
  for (const name of ['two', 'owner']) await lab.stop(name); // nobody decides before both are back
  await lab.run('three');
  await lab.until(id, (r) => r.attempts[0]?.confirms.size === 2);
  const confirmed = attempt().confirms.get('one')!.hash;

  if (isWeak) forgets.add('one');
  const one = await restore('one');
  await one.log.until((t) => t.rounds.get(id)?.attempts[0]?.confirms.has('one') === true);
  if (isWeak) await vi.waitFor(() => expect(refusedTo('one')).toContain('DUPLICATE_CONFIRM'), 20_000);
  forgets.clear();

  await lab.run('two');
  await lab.until(id, (r) => r.attempts[0]?.ready.size === 3);
  await stopAndCopy('member-1');
  await lab.stop('member-2');
  await lab.run('owner');
  await lab.until(id, (r) => r.phase === 'decided');
  await lab.stop('owner'); // nobody opens it before the member is back
  await lab.run('member-1');
  const answer = await lab.until(id, (r) => r.phase === 'decided' && r.decision.answers.get('member-1'));

  if (isWeak) forgets.add('member-1');
  await restore('member-1');
  const saysBefore = () => lab.events.some(({ party, event }) => party === 'member-1' && event === 'answered before');
  if (isWeak) await vi.waitFor(() => expect(refusedTo('member-1')).toContain('DUPLICATE_ANSWER'), 20_000);
  else await vi.waitFor(() => expect(saysBefore()).toBe(true), 20_000);
  forgets.clear();

  for (const name of ['member-2', 'owner']) await lab.run(name);
  await opened(id);
  const { decision } = lab.round(id) as Extract<ReturnType<typeof lab.round>, { phase: 'released' }>;
  expect(decision.answers.get('member-1')).toEqual(answer);
  expect(attempt().confirms.get('one')!.hash).toBe(confirmed);
}

it('from the middle of the round: neither confirms nor answers a second time', async () => {
  await roundWithCopies(false);
  expect(refusedTo('one').filter((code) => code === 'DUPLICATE_CONFIRM')).toEqual([]);
  expect(refusedTo('member-1').filter((code) => code === 'DUPLICATE_ANSWER')).toEqual([]);
}, 60_000);

it('control: a party that does not look makes a second one, and only the log refuses it', async () => {
  await roundWithCopies(true);
}, 60_000);

it('and no key served twice', () => {
  const t = lab.log.transcript;
  const keys = [...t.rounds.values()].flatMap(({ uploads }) => [...uploads.values()].map(({ body }) => body.key));
  const roundKeys = [...t.announces.values()].flatMap((a) => [...a.roundKeys.values()].map(({ kemKey }) => kemKey));
  for (const all of [keys, roundKeys]) {
    expect(all.length).toBeGreaterThan(8);
    expect(new Set(all).size).toBe(all.length);
  }
});
