import { join } from 'node:path';
import { EnrolmentState } from '../../proto/gen/veilsum/v1/enrolment.ts';
import { readKeyFile } from '../../src/config/files.ts';
import type { Connection } from '../../src/grpc/connection.ts';
import { EnrolmentService, LogService } from '../../src/grpc/services.ts';
import { type Card, signPossession } from '../../src/keys/card.ts';
import { type EnrolmentRequest, makeRequest } from '../../src/keys/enrolment-request.ts';
import { certify, enrolLeaf, readAuthority, revokeLeaf } from '../../src/keys/found.ts';
import { type CheckedInvitation, checkInvitation } from '../../src/keys/invitation.ts';
import { acceptInvitation, type ReceivedInvitation, readInvitation, writeInvitation } from '../../src/keys/invite.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import type { Authority } from '../../src/tls/authority.ts';
import { chainToDer } from '../../src/tls/chain.ts';
import type { FederationLab } from '../e2e/federation-lab.ts';
import { codeOf } from './parties.ts';

const DAY_MS = 86_400_000;

/** An invited party with its file, its folder, the honest request for it, and a connection with the invitation's certificate. */
export interface Guest {
  readonly file: string;
  readonly folder: string;
  readonly received: ReceivedInvitation;
  readonly invitation: CheckedInvitation;
  readonly card: Card;
  readonly request: EnrolmentRequest;
  readonly connection: Connection;
}

/** Invites, asks, approves and revokes over real gRPC, step by step, so that a test can do each one wrong. */
export class EnrolmentDoor {
  readonly lab: FederationLab;
  readonly founders: string;
  readonly authority: Authority;

  private constructor(lab: FederationLab, authority: Authority) {
    this.lab = lab;
    this.founders = join(lab.folder, 'founders');
    this.authority = authority;
  }

  static async open(lab: FederationLab): Promise<EnrolmentDoor> {
    return new EnrolmentDoor(lab, await readAuthority(join(lab.folder, 'founders')));
  }

  /** @param daysAgo - when the invitation was written; it lasts 7 days. */
  async invite(name: string, daysAgo = 0): Promise<string> {
    const { federation } = this.lab.local;
    const out = join(this.lab.folder, `${name}.${systemRng(4).join('')}.json`);
    const invitee = { name, role: 'node', organisation: 'Acme', region: 'eu' } as const;
    const when = { now: new Date(Date.now() - daysAgo * DAY_MS), days: 7, out };
    await writeInvitation(p, systemRng, this.founders, { federation, authority: this.authority }, invitee, when);
    return out;
  }

  /** A party that was invited and has drawn its keys; nothing is sent yet. */
  async guest(name: string, daysAgo = 0): Promise<Guest> {
    const file = await this.invite(name, daysAgo);
    const folder = join(this.lab.folder, 'guests', `${name}.${systemRng(4).join('')}`);
    const received = readInvitation(file);
    const { genesisHash } = this.lab.local.federation;
    const { rootKey } = this.lab.log.transcript.genesis!;
    const invitation = checkInvitation(p, genesisHash, rootKey, received.signed);
    const made = await acceptInvitation(p, systemRng, folder, received, invitation, '127.0.0.1:1');
    return { file, folder, received, invitation, ...made, connection: this.lab.connect(received.tls, 'coordinator') };
  }

  /** The guest's request with a changed card, signed again by everybody who would sign a real one. */
  altered(guest: Guest, change: Partial<Card>, identityFolder = guest.folder): EnrolmentRequest {
    using identity = readKeyFile(join(identityFolder, 'identity.key'), 'identity key');
    const card = signPossession(p, { ...guest.card, ...change }, identity, this.lab.local.federation.genesisHash);
    return makeRequest(p, guest.received.signed, card, guest.received.token);
  }

  /** The state that the coordinator answers, or the code with which it refuses. */
  async ask(guest: Guest, request: EnrolmentRequest = guest.request): Promise<string> {
    let said = '';
    const code = await codeOf(
      guest.connection.callOnce(EnrolmentService.enrol, { ...request }, 10_000).then(({ state }) => {
        const name = Object.entries(EnrolmentState).find(([, value]) => value === state)![0];
        said = name.replace('ENROLMENT_STATE_', '');
      }),
    );
    return code === 'SUCCEEDED' ? said : code;
  }

  /** What an officer sends to approve a card. */
  async approval(guest: Guest, card: Card = guest.card) {
    const leaf = enrolLeaf(p, this.founders, this.lab.local.federation, card, Date.now());
    const certificates = chainToDer(await certify(this.authority, card, new Date()));
    return { id: Buffer.from(guest.invitation.id, 'hex'), leaf, certificates };
  }

  async approve(guest: Guest): Promise<number> {
    const answer = await this.lab.officer.callOnce(EnrolmentService.approve, await this.approval(guest), 10_000);
    return Number(answer.leafIndex);
  }

  async revoke(name: string): Promise<void> {
    const leaf = revokeLeaf(p, this.founders, this.lab.local.federation, name, 'test', Date.now());
    await this.lab.officer.callOnce(LogService.append, { leaf }, 10_000);
    await this.lab.log.until((t) => t.parties.get(name)?.revoked);
  }
}
