import { DOMAIN } from '../../../crypto/domain.ts';
import { canonicalBytes, fromUtf8, type Json, parseCanonical, toBase64, utf8 } from '../../../crypto/encoding.ts';
import { SecretBytes } from '../../../crypto/secret.ts';
import { infoWithLabel, sign } from '../../../crypto/signature.ts';
import { parseValidated } from '../../../src/config/files.ts';
import { type Card, signPossession } from '../../../src/keys/card.ts';
import { checkRequest, makeRequest } from '../../../src/keys/enrolment-request.ts';
import { checkInvitation, type Invitation, signInvitation } from '../../../src/keys/invitation.ts';
import { checkReplacement, replacementField } from '../../../src/keys/replacement.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { createAuthority, issue, keyOfRequest } from '../../../src/tls/authority.ts';
import { chainToDer, chainToPem } from '../../../src/tls/chain.ts';
import { identityOf, spkiPinOf } from '../../../src/tls/identity.ts';
import { createRequest, createTlsKey } from '../../../src/tls/keys.ts';
import { PaperLog } from '../../reference/paper-log.ts';
import { law, partsOf, type Target } from '../target.ts';
import { signAs } from './leaves.ts';

const log = PaperLog.founded();
const key = (name: string): SecretBytes => new SecretBytes(name, p.sha256(utf8(`seed ${name}`)));
const root = key('root');
const token = key('token');
const identity = key('new-node');
const rootKey = toBase64(p.ed25519PublicKey(root.bytes));
const HASH = 'ab'.repeat(32);
const member = log.transcript.parties.get('member-1')!;

const invitation: Invitation = {
  v: 1,
  log: log.transcript.logId,
  name: 'new-node',
  role: 'node',
  organisation: 'Org 9',
  region: 'here',
  token: toBase64(p.ed25519PublicKey(token.bytes)),
  tlsKeySha256: HASH,
  expires: 1_900_000_000_000,
};
const invited = signInvitation(p, root, invitation);

const ENROLMENT = {
  ProtocolError: [
    'MALFORMED',
    'TOO_LARGE',
    'WRONG_ORIGIN',
    'BAD_SIGNATURE',
    'BAD_KEY',
    'REVOKED',
    'NO_POSSESSION',
    'DUPLICATE_NAME',
    'DUPLICATE_KEY',
    'WRONG_ROLE',
  ],
  EnrolmentError: ['NOT_INVITED', 'WRONG_TOKEN'],
  TlsError: ['BAD_REQUEST', 'PIN_MISMATCH', 'BAD_TLS_KEY'],
};

async function card(): Promise<Card> {
  const tls = createTlsKey();
  const unsigned: Card = {
    version: 1,
    name: 'new-node',
    role: 'node',
    organisation: 'Org 9',
    region: 'here',
    address: 'localhost:1',
    key: toBase64(p.ed25519PublicKey(identity.bytes)),
    kemKey: null,
    witnessKey: null,
    tlsKeySha256: spkiPinOf(tls.publicKey),
    request: toBase64(await createRequest(tls, 'new-node')),
    possession: null,
  };
  return signPossession(p, { ...unsigned, kemKey: log.kemKey('new-node') }, identity, log.transcript.logId);
}

/** The token's holder signs whatever card it likes. */
const useToken = (signed: Uint8Array, bytes: Uint8Array): Uint8Array =>
  sign(p, token, DOMAIN.invitationUse, infoWithLabel(DOMAIN.invitationUse, signed, bytes));

async function certificate(): Promise<{ chain: string; request: Uint8Array }> {
  const authority = await createAuthority('authority', new Date());
  const tls = createTlsKey();
  const request = await createRequest(tls, 'node-1');
  const subject = { name: 'node-1', role: 'node', organisation: 'Org 1' } as const;
  return { chain: await issue(authority, { request }, subject, { now: new Date() }), request };
}

export const people: readonly Target[] = [
  {
    name: 'invitation',
    reads: 'invitations; `bytes` as they come, or JSON signed by the root key',
    slowdown: 2,
    form: ['json', 'bytes'],
    seeds: () => [
      encodeParts([canonicalBytes(invitation as unknown as Json)]),
      encodeParts([new Uint8Array(0), invited]),
    ],
    refusals: { ProtocolError: ENROLMENT.ProtocolError },
    run(input) {
      const [unsigned, given] = partsOf(input) ?? [];
      const bytes = given ?? signed(unsigned);
      if (bytes === null) return false;
      checkInvitation(p, log.transcript.logId, rootKey, bytes);
      return true;
    },
  },
  {
    name: 'enrolment',
    reads: 'requests to enrol, whose card is its sender’s',
    slowdown: 5,
    form: ['json', 'bytes'],
    seeds: async () => {
      const made = await card();
      const request = makeRequest(p, invited, made, token);
      return [encodeParts([request.card]), encodeParts([request.card, request.invitation, request.proof])];
    },
    refusals: ENROLMENT,
    async run(input) {
      const [given, other, proof] = partsOf(input) ?? [];
      if (given === undefined) return false;
      const used = other ?? invited;
      await checkRequest(p, log.transcript, { invitation: used, card: given, proof: proof ?? useToken(used, given) });
      return true;
    },
  },
  {
    name: 'tls-key-request',
    reads: "what founders certify another TLS key by: a card, and a leaf that its party's identity key signs",
    slowdown: 5,
    form: ['json', 'json'],
    seeds: async () => {
      const { role, organisation } = member;
      const made = { ...(await card()), name: 'member-1', role, organisation };
      const { tlsKeySha256 } = made;
      const draft = log.draft('member-1', 'tls-key', { tlsKeySha256, replaces: member.tlsKeySha256 });
      return [encodeParts([made, draft].map((json) => canonicalBytes(json as unknown as Json)))];
    },
    refusals: {
      ConfigError: ['INVALID'],
      CryptoError: ['BAD_ENCODING'],
      ProtocolError: ['MALFORMED', 'TOO_LARGE', 'UNKNOWN_KIND', 'UNKNOWN_VERSION', 'BAD_SIGNATURE', 'STALE_TLS_KEY'],
      TlsError: ['BAD_SUBJECT', 'BAD_REQUEST', 'PIN_MISMATCH', 'BAD_TLS_KEY'],
    },
    async run(input) {
      const [given, core] = partsOf(input) ?? [];
      const leaf = core === undefined ? null : signAs(core);
      if (given === undefined || leaf === null) return false;
      const made: unknown = { version: 1, card: parseCanonical(given, 65_535), leaf: toBase64(leaf) };
      const replacement = parseValidated(JSON.stringify(made), 'the file', replacementField);
      await checkReplacement(p, log.transcript.logId, replacement, member);
      return true;
    },
  },
  {
    name: 'certificate',
    reads: 'certificates (X.509, DER and PEM)',
    slowdown: 10,
    form: ['bytes'],
    seeds: async () => chainToDer((await certificate()).chain).map((der) => encodeParts([der])),
    words: ['veilsum:node/', 'node-1'],
    refusals: { TlsError: ['BAD_CERTIFICATE'] },
    run(input) {
      const [der, pem] = partsOf(input) ?? [];
      if (der === undefined) return false;
      if (pem !== undefined) identityOf(Buffer.from(pem).toString('latin1'));
      const { name, role, organisation } = identityOf(der);
      law(/^[a-z0-9-]+$/.test(name) && /^[\x20-\x7e]+$/.test(`${role}${organisation}`), 'a subject is printable');
      identityOf(chainToPem([der]));
      return true;
    },
  },
  {
    name: 'certificate-request',
    reads: 'certificate requests (PKCS #10)',
    slowdown: 5,
    form: 'bytes',
    seeds: async () => [(await certificate()).request],
    refusals: { TlsError: ['BAD_REQUEST', 'BAD_TLS_KEY'] },
    async run(input) {
      law((await keyOfRequest(input)).length === 91, 'a key has one spelling');
      return true;
    },
  },
];

/** Canonical JSON with the root key's signature; null where it is none. */
function signed(unsigned: Uint8Array | undefined): Uint8Array | null {
  try {
    return signInvitation(p, root, JSON.parse(fromUtf8(unsigned ?? new Uint8Array(0))));
  } catch {
    return null;
  }
}
