import { join } from 'node:path';
import { z } from 'zod';
import { DOMAIN } from '../../crypto/domain.ts';
import { canonicalBytes, type Json, toBase64 } from '../../crypto/encoding.ts';
import { sign } from '../../crypto/signature.ts';
import { hashField, nameField, signatureField } from '../../protocols/fields.ts';
import { approvalBytes, checkChange, isApproval } from '../../protocols/rules-membership.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { makeLeaf } from '../../protocols/verified.ts';
import { readKeyFile, readValidated, writeDurably } from '../config/files.ts';
import { LogService } from '../grpc/services.ts';
import { readRootKey } from '../keys/found.ts';
import { FOLDER } from '../keys/party-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { saysYes } from './ask.ts';
import { asking, type Caller, openCaller, readLogOnce, requireOfficer } from './caller.ts';
import { CliError } from './exit.ts';
import { printable } from './output.ts';

type Print = (line: string) => void;

const changeFields = {
  number: z.int().min(1),
  members: z.array(nameField).min(3).max(64),
  threshold: z.int().min(2).max(64),
};
const proposalField = z.strictObject({ log: hashField, ...changeFields });
type Proposal = z.infer<typeof proposalField>;
const approvalField = z.strictObject({ proposal: proposalField, member: nameField, signature: signatureField });

const sizeOf = ({ members, threshold }: Transcript['quorum'] | Proposal): string =>
  `${threshold} of ${members.length}: ${members.map(printable).join(', ')}`;

export async function showQuorum(folder: string, print: Print): Promise<void> {
  const { transcript } = await readLogOnce(await openCaller(folder));
  const { number } = transcript.quorum;
  print(
    `${sizeOf(transcript.quorum)} (${number === 0 ? 'as founded' : `changed ${number === 1 ? 'once' : `${number} times`}`})`,
  );
  const members = [...transcript.parties.values()].filter(({ role, revoked }) => role === 'member' && !revoked);
  const others = members.map(({ name }) => name).filter((name) => !transcript.quorum.members.includes(name));
  if (others.length > 0) print(`enrolled as members, and not in it: ${others.map(printable).join(', ')}`);
}

/** What the change means to whoever approves it. */
function explain(t: Transcript, proposal: Proposal, print: Print): void {
  const { members } = t.quorum;
  const joining = proposal.members.filter((name) => !members.includes(name));
  const leaving = members.filter((name) => !proposal.members.includes(name));
  print(`now  ${sizeOf(t.quorum)}`);
  print(`then ${sizeOf(proposal)}`);
  if (joining.length > 0) print(`joining: ${joining.map(printable).join(', ')}`);
  if (leaving.length > 0) print(`leaving: ${leaving.map(printable).join(', ')}`);
}

/** @throws CliError with the rule's code: the change could not be made now, whoever approved it. */
function requirePossible(caller: Caller, t: Transcript, proposal: Proposal): void {
  if (proposal.log !== caller.federation.genesisHash)
    throw new CliError('WRONG_ORIGIN', 'the proposal is for another federation');
  const problem = checkChange(t, proposal);
  // A round that runs now is no reason against writing or signing; the log asks again.
  if (problem !== null && problem.rejected !== 'ROUND_RUNNING') throw new CliError(problem.rejected, problem.why);
}

export async function proposeQuorum(
  folder: string,
  { member: members, threshold, out }: { member: readonly string[]; threshold: number; out: string },
  print: Print,
): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'proposing a quorum');
  const { transcript } = await readLogOnce(caller);
  const number = transcript.quorum.number + 1;
  const proposal: Proposal = { log: caller.federation.genesisHash, number, members: [...members], threshold };
  requirePossible(caller, transcript, proposal);
  writeDurably(out, canonicalBytes(proposal as unknown as Json));
  explain(transcript, proposal, print);
  print(
    `${out}: hand it to the present members. ${transcript.quorum.threshold} of them must approve ('veilsum quorum approve').`,
  );
}

export async function approveQuorum(
  folder: string,
  file: string,
  { out, isAsked }: { out: string | null; isAsked: boolean },
  print: Print,
): Promise<void> {
  const caller = await openCaller(folder);
  const proposal = readValidated(file, 'the proposal', proposalField);
  const { transcript } = await readLogOnce(caller);
  if (!transcript.quorum.members.includes(caller.name))
    throw new CliError('WRONG_ROLE', `${caller.name} is not a member of the present quorum`);
  requirePossible(caller, transcript, proposal);
  explain(transcript, proposal, print);
  if (isAsked && !(await saysYes('Approve?'))) throw new CliError('CANCELLED', 'not approved: nothing was signed');
  using identity = readKeyFile(join(folder, FOLDER.identity), 'identity key');
  const bytes = approvalBytes(proposal.log, proposal);
  const signature = toBase64(sign(nodePrimitives, identity, DOMAIN.quorumChange, bytes));
  const path = out ?? `${caller.name}.approval.json`;
  writeDurably(path, canonicalBytes({ proposal, member: caller.name, signature } as unknown as Json));
  print(`${path}: hand it to the officer.`);
}

export async function changeQuorum(
  folder: string,
  file: string,
  approvalFiles: readonly string[],
  print: Print,
): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'changing the quorum');
  const proposal = readValidated(file, 'the proposal', proposalField);
  const { transcript } = await readLogOnce(caller);
  requirePossible(caller, transcript, proposal);
  const approvals = approvalFiles.map((path) => {
    const { member, signature } = readValidated(path, 'the approval', approvalField);
    if (!isApproval(nodePrimitives, transcript, proposal, { member, signature }))
      throw new CliError('NOT_APPROVED', `${path} is no present member's approval of this very proposal`);
    return { member, signature };
  });
  const { log: _, ...change } = proposal;
  using root = readRootKey(folder);
  const signer = { name: 'root', log: proposal.log, secret: root };
  const leaf = makeLeaf(nodePrimitives, signer, 'quorum', { ...change, approvals }, Date.now());
  const { leafIndex } = await asking('the coordinator', caller.coordinator, () =>
    caller.coordinator.call(LogService.append, { leaf }),
  );
  print(`${sizeOf(proposal)} from the next round on (leaf ${leafIndex}).`);
  print("Sites take part only if their policy.yaml says 'quorumChanges: accept'.");
}
