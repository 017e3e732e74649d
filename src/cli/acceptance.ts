import { setTimeout as sleep } from 'node:timers/promises';
import { fromBase64 } from '../../crypto/encoding.ts';
import { EnrolmentState, type EnrolResponse } from '../../proto/gen/veilsum/v1/enrolment.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import { ConfigError } from '../config/errors.ts';
import type { Federation } from '../config/federation.ts';
import { Connection } from '../grpc/connection.ts';
import { EnrolmentService } from '../grpc/services.ts';
import type { Card } from '../keys/card.ts';
import type { EnrolmentRequest } from '../keys/enrolment-request.ts';
import { type CheckedInvitation, checkInvitation } from '../keys/invitation.ts';
import { acceptInvitation, readInvitation } from '../keys/invite.ts';
import { installCertificate } from '../keys/party-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { chainToPem, checkChain } from '../tls/chain.ts';
import { asking, openCaller, readLogOnce } from './caller.ts';
import { CliError } from './exit.ts';
import { checkFederation, fingerprint } from './federation-file.ts';

/** Between two questions, in ms. */
const POLL_MS = 3000;

/** The invitation belongs to the federation that comes with it, and the root key of its genesis signed it. */
function checkReceived(signed: Uint8Array, federation: Federation, pin: string | null): CheckedInvitation {
  checkFederation(federation, pin);
  const genesis = parseVerifiedGenesis(nodePrimitives, fromBase64(federation.genesis));
  if (isRejection(genesis)) throw new ConfigError('INVALID', genesis.why);
  return checkInvitation(nodePrimitives, federation.genesisHash, genesis.rootKey, signed);
}

/** Asks until the founders have decided or the time is over. */
async function askUntil(coordinator: Connection, request: EnrolmentRequest, waitMs: number): Promise<EnrolResponse> {
  const end = performance.now() + waitMs;
  for (;;) {
    const answer = await asking('the coordinator', coordinator, () =>
      coordinator.call(EnrolmentService.enrol, { ...request }),
    );
    if (answer.state !== EnrolmentState.ENROLMENT_STATE_PENDING || performance.now() + POLL_MS > end) return answer;
    await sleep(POLL_MS);
  }
}

/** Installs the certificate, then reads the log with it: the enrolment must stand there, with these keys. */
async function install(folder: string, federation: Federation, card: Card, answer: EnrolResponse): Promise<void> {
  const certificates = chainToPem(answer.certificates);
  checkChain(certificates, federation.authority, card);
  installCertificate(folder, certificates, federation.authority);
  const caller = await openCaller(folder);
  try {
    const { transcript } = await readLogOnce(caller);
    const party = transcript.parties.get(card.name);
    if (party?.key !== card.key || party.index !== Number(answer.leafIndex))
      throw new CliError(
        'NOT_ENROLLED',
        `the log does not hold the enrolment that the coordinator claims: ask the founders`,
      );
  } finally {
    caller.coordinator.close();
  }
}

/**
 * The whole way of an invited party. Giving it again goes on where it was.
 *
 * @param pin - the genesis hash, learnt by other means; null checks only that the invitation is consistent.
 * @param waitMs - 0 asks once.
 */
export async function acceptOnline(
  folder: string,
  file: string,
  address: string,
  pin: string | null,
  waitMs: number,
  say: (line: string) => void,
): Promise<void> {
  using received = readInvitation(file);
  const { federation, tls, signed } = received;
  const invitation = checkReceived(signed, federation, pin);
  const { card, request } = await acceptInvitation(nodePrimitives, systemRng, folder, received, invitation, address);
  say(`${card.name} (${card.role}) asks to be enrolled. Its key, to compare with what the founders see:`);
  say(`  ${fingerprint(card.key)}`);
  const { coordinator: to } = federation;
  const coordinator = new Connection({
    address: to.address,
    tls,
    expected: { pins: [to.tlsKeySha256], role: 'coordinator' },
  });
  let answer: EnrolResponse;
  try {
    answer = await askUntil(coordinator, request, waitMs);
  } finally {
    coordinator.close();
  }
  if (answer.state === EnrolmentState.ENROLMENT_STATE_DECLINED)
    throw new CliError('DECLINED', 'the founders declined the request: ask them why, and for another invitation');
  if (answer.state !== EnrolmentState.ENROLMENT_STATE_ENROLLED) {
    say('The founders have not approved it yet: give the same command again, or --wait MINUTES.');
    return;
  }
  await install(folder, federation, card, answer);
  say(`Enrolled (leaf ${answer.leafIndex}), certificate installed in ${folder}. The invitation is of no more use.`);
}
