import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromHex, toHex } from '../../crypto/encoding.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { openAnswer } from '../../crypto/share-box.ts';
import { subsets } from '../../crypto/sharing.ts';
import { recordHashOf } from '../../protocols/record.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { RoundService } from '../../src/grpc/services.ts';
import { primitives as p } from '../../src/party/party.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';
import { codeOf } from '../protocol/parties.ts';

// SIGKILL between an act and its leaf, at every step of a round, is in test/faults/kill.test.ts.

const nodes = ['one', 'two', 'slow'];
let lab: FederationLab;
/** What a control, or a corrupt aggregator, does to calls. Null: they go out as they are. */
let intercept: ((path: string, request: unknown) => unknown) | null = null;
const { callOnce } = Connection.prototype;

beforeAll(async () => {
  Connection.prototype.callOnce = async function (this: Connection, method, request, timeoutMs, signal) {
    const answered = intercept?.(method.path, request);
    if (answered !== undefined) return answered as never;
    return (await callOnce.call(this, method as never, request, timeoutMs, signal)) as never;
  } as typeof callOnce;
  lab = await FederationLab.start({ nodes, absent: ['slow'] });
}, 60_000);

afterAll(async () => {
  intercept = null;
  await lab[Symbol.asyncDispose]();
  Connection.prototype.callOnce = callOnce;
}, 60_000);

/** Ends a round as an officer does. */
async function abort(id: string): Promise<void> {
  await lab.officer.call(RoundService.abort, { roundId: fromHex(id, 32) });
  expect(await lab.end(id)).toBe('OPERATOR');
}

const said = (party: string, event: string) => lab.events.filter((e) => e.party === party && e.event === event).length;

describe('P26: every privileged act is in the log or did not happen', () => {
  it('with the log down nothing is opened, enrolled or uploaded; when it is back the round ends as if nothing had been', async () => {
    const id = await lab.open();
    await lab.until(id, (r) => r.uploads.size === 2);
    const { size } = lab.coordinator.keeper.log;
    await lab.stop('coordinator');
    const request = { task: new Uint8Array(1), requestId: new Uint8Array(16) };
    expect(await codeOf(lab.officer.callOnce(RoundService.open, request, 2000))).toMatch(
      /UNAVAILABLE|CONNECTION|UNREACHABLE/,
    );
    // A node comes that has not been there: its aggregator has the payload, and acknowledges nothing.
    const started = lab.run('slow');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(said('slow', 'uploaded')).toBe(0);
    await lab.run('coordinator');
    await started;
    expect(lab.coordinator.keeper.log.size).toBe(size);
    expect(await lab.end(id)).toBe('released');
    expect(await lab.result(id)).toEqual(plainSum(nodes, 1, 300));
    expect(said('slow', 'uploaded')).toBe(1);
    expect(lab.round(id).uploads.has('slow')).toBe(true);
  });

  it('control: an aggregator that acknowledges before the leaf is durable has a node believe in an upload that is none', async () => {
    const before = said('slow', 'uploaded');
    intercept = (path, body) => {
      const isUpload = path.endsWith('/Append') && /"actor":"slow".*"kind":"upload"/.test(textOf(body));
      return isUpload ? { leafIndex: 999n } : undefined;
    };
    const id = await lab.open(1);
    await lab.until(id, (r) => r.uploads.size === 2);
    await vi.waitFor(() => expect(said('slow', 'uploaded')).toBeGreaterThan(before), 10_000);
    expect(lab.round(id).uploads.has('slow')).toBe(false);
    intercept = null;
    await abort(id);
  });

  /** A corrupt aggregator keeps what members send it and logs nothing. @returns what it got, by member. */
  async function captured(isLogged: boolean): Promise<{ id: string; answers: Map<string, Uint8Array> }> {
    const answers = new Map<string, Uint8Array>();
    intercept = (path, body) => {
      // The control: members' own appends of answers go nowhere.
      if (!isLogged && path.endsWith('/Append') && textOf(body).includes('"kind":"answer"')) return { leafIndex: 999n };
      if (!path.endsWith('/PutAnswer')) return undefined;
      const { leaf, sealed } = body as { leaf: Uint8Array; sealed: { sealed: Uint8Array }[] };
      answers.set(JSON.parse(Buffer.from(leaf).toString()).actor, sealed[0]!.sealed);
      return { leafIndex: 999n };
    };
    const id = await lab.open(isLogged ? 2 : 3);
    await vi.waitFor(() => expect(answers.size).toBeGreaterThanOrEqual(2), 60_000);
    return { id, answers };
  }

  it('a member’s answer is in the log before anybody is given it', async () => {
    const { id, answers } = await captured(true);
    const logged = await lab.until(id, (r) => r.phase === 'decided' && r.decision.answers.size >= answers.size && r);
    if (logged.phase !== 'decided') throw new Error(logged.phase);
    for (const member of answers.keys()) expect(logged.decision.answers.has(member)).toBe(true);
    intercept = null;
    await abort(id);
  });

  it('control: sent first, an aggregator that withholds the leaf can have a corrupt recipient open what no answer shows', async () => {
    const { id, answers: captives } = await captured(false);
    const round = lab.round(id);
    if (round.phase !== 'decided') throw new Error(round.phase);
    // The log has no answer; what the decision charged, it has.
    expect(round.decision.answers.size).toBe(0);
    expect(lab.log.transcript.ledger.spentRhoNano).toBeGreaterThanOrEqual(2 * round.record.charge.rhoNano);
    const { maskModulusBits, ringDegree, members, threshold } = round.record.parameters;
    const roundKey = readFileSync(join(lab.path('owner'), 'rounds', round.record.announce, 'round.key'));
    const have = new Set<number>();
    for (const [name, sealed] of captives) {
      const member = round.record.members.findIndex((m) => m.name === name);
      const place = { decideHash: fromHex(round.decision.hash, 32), bucket: 0, member, recipient: 0 };
      using key = new SecretBytes('round key', Uint8Array.from(roundKey));
      const opened = openAnswer(p, key, place, sealed, maskModulusBits, ringDegree);
      if ('sums' in opened) for (const set of opened.sums.keys()) have.add(set);
    }
    expect(have.size).toBe(subsets(members, threshold).length); // every K_T: the sum can be opened
    expect(toHex(recordHashOf(p, round.record))).toBe(id);
    intercept = null;
    await abort(id);
  });
});

function textOf(body: unknown): string {
  const { leaf } = body as { leaf?: Uint8Array };
  return leaf === undefined ? '' : Buffer.from(leaf).toString();
}
