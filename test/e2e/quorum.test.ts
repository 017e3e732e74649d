import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../src/platform/free-port.ts';
import { CommandLine } from './command.ts';
import { FederationLab } from './federation-lab.ts';
import { plainSum } from './lab-parties.ts';

// A member joins for one that leaves: its machine, its keys, its certificate, the approvals, and a round under the new quorum.

const nodes = ['one', 'two', 'three'];
let lab: FederationLab;
let cli: CommandLine;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, policy: { quorumChanges: 'accept' } });
  cli = new CommandLine(lab.folder);
});

afterAll(async () => {
  cli.kill();
  await lab[Symbol.asyncDispose]();
});

async function veilsum(args: string): Promise<string> {
  const { code, out, err } = await cli.run(args);
  expect([args, code, err]).toEqual([args, 0, '']);
  return out;
}

it('the members approve, the log takes it, and the next round opens under the new quorum', async () => {
  const first = await lab.open();
  expect(await lab.end(first)).toBe('released');
  expect(await veilsum('quorum show --dir founders')).toContain('2 of 3: member-1, member-2, member-3 (as founded)');

  const address = `127.0.0.1:${await freePort()}`;
  await veilsum(
    `keys new --dir fourth --role member --name member-4 --organisation new --region eu --address ${address}`,
  );
  await veilsum('keys join --dir fourth --federation founders/federation.json');
  const propose = 'quorum propose --member member-1 --member member-2 --member member-4 --threshold 2 --dir founders';
  const early = await cli.run(propose);
  expect([early.code, early.err]).toEqual([1, expect.stringContaining('QUORUM_MISMATCH')]); // not enrolled yet
  await veilsum('enrol fourth/card.json --dir founders');
  const proposed = await veilsum(propose);
  expect(proposed).toContain('joining: member-4');
  expect(proposed).toContain('leaving: member-3');

  await veilsum(`quorum approve proposal.json --dir ${lab.path('member-1')} --yes`);
  const few = await cli.run('quorum change proposal.json member-1.approval.json --dir founders');
  expect([few.code, few.err]).toEqual([1, expect.stringContaining('NOT_APPROVED')]);
  const stranger = await cli.run(`quorum approve proposal.json --dir ${lab.path('one')} --yes`);
  expect([stranger.code, stranger.err]).toEqual([1, expect.stringContaining('WRONG_ROLE')]);
  copyFileSync(join(lab.folder, 'member-1.approval.json'), join(lab.folder, 'copy.json'));
  const twice = await cli.run('quorum change proposal.json member-1.approval.json copy.json --dir founders');
  expect([twice.code, twice.err]).toEqual([1, expect.stringContaining('NOT_APPROVED')]);

  const unasked = await cli.run(`quorum approve proposal.json --dir ${lab.path('member-2')}`);
  expect([unasked.code, unasked.err]).toEqual([1, expect.stringContaining('--yes')]);
  await veilsum(`quorum approve proposal.json --dir ${lab.path('member-2')} --yes`);
  await veilsum('quorum change proposal.json member-1.approval.json member-2.approval.json --dir founders');
  expect(await veilsum('quorum show --dir founders')).toContain('2 of 3: member-1, member-2, member-4 (changed once)');

  const fourth = await cli.start('member --dir fourth');
  const second = await lab.open();
  expect(await lab.end(second)).toBe('released');
  expect(lab.round(second).record.members.map(({ name }) => name)).toEqual(['member-1', 'member-2', 'member-4']);
  expect(await lab.result(second)).toEqual(plainSum(nodes, 2, 300));
  expect((await fourth.stop()).code).toBe(0);
});
