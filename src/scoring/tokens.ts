import { existsSync, statSync } from 'node:fs';
import { z } from 'zod';
import { toHex, utf8 } from '../../crypto/encoding.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { hashField } from '../../protocols/fields.ts';
import { ConfigError } from '../config/errors.ts';
import { readValidated, writeDurably } from '../config/files.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { ScoringError } from './errors.ts';

/** Every territory of the table. */
export const EVERY_TERRITORY = '*';

const sellerField = z.strictObject({
  name: z.string().regex(/^[\w.@-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes, underscores or @'),
  /** SHA-256 of label and token. The token has 256 random bits, so no slow hash is needed (NIST SP 800-63B, 5.1.2.2). */
  sha256: hashField,
  territories: z.array(z.string().min(1).max(200)).min(1).max(1000),
  /** Seconds since 1970 from which on it is refused. */
  expires: z.int().min(0),
});

const tokensField = z
  .strictObject({ version: z.literal(1), sellers: z.array(sellerField).max(4000) })
  .refine(({ sellers }) => new Set(sellers.map(({ name }) => name)).size === sellers.length, 'a name occurs twice')
  .refine(({ sellers }) => new Set(sellers.map(({ sha256 }) => sha256)).size === sellers.length, 'a hash occurs twice');

/** Who may read what. A seller is a person or a program with a token of its own. */
export type Seller = z.infer<typeof sellerField>;

const PREFIX = 'vss_';
const TOKEN = /^vss_[A-Za-z0-9_-]{43}$/;

/** What a token is known by, hex. */
function tokenHash(token: string): string {
  return toHex(nodePrimitives.sha256(utf8(`veilsum/v1/seller-token\0${token}`)));
}

/** @throws ConfigError FILE_MISSING, INVALID */
export function readSellers(path: string): Seller[] {
  return readValidated(path, 'the tokens file', tokensField, "'veilsum score token new' writes one").sellers;
}

function writeSellers(path: string, sellers: readonly Seller[]): void {
  writeDurably(path, `${JSON.stringify({ version: 1, sellers }, null, 2)}\n`, 0o600);
}

/**
 * Adds a seller to the file, which is made where there is none.
 *
 * @returns the token, which stands nowhere else.
 * @throws ScoringError TOKEN_EXISTS; ConfigError INVALID for a name or territory that no file may hold.
 */
export function addSeller(path: string, seller: Omit<Seller, 'sha256'>): string {
  const sellers = existsSync(path) ? readSellers(path) : [];
  if (sellers.some(({ name }) => name === seller.name))
    throw new ScoringError(
      'TOKEN_EXISTS',
      `${path} has a token of ${seller.name}: revoke it first, or take another name`,
    );
  using fresh = new SecretBytes('seller token', systemRng(32));
  const token = PREFIX + Buffer.from(fresh.bytes).toString('base64url');
  const parsed = sellerField.safeParse({ ...seller, sha256: tokenHash(token) });
  if (!parsed.success) throw new ConfigError('INVALID', `the token: ${z.prettifyError(parsed.error)}`);
  writeSellers(path, [...sellers, parsed.data]);
  return token;
}

/** Takes a seller out of the file; a running server notices. @throws ScoringError UNKNOWN_TOKEN */
export function removeSeller(path: string, name: string): void {
  const sellers = readSellers(path);
  const kept = sellers.filter((seller) => seller.name !== name);
  if (kept.length === sellers.length)
    throw new ScoringError('UNKNOWN_TOKEN', `${path} has no token of that name: 'veilsum score token list' shows them`);
  writeSellers(path, kept);
}

/** Whose token this is. */
export interface TokenRegister {
  /** Null: no such token, one that has expired, or a file that cannot be read: then nobody is let in. */
  find(token: string): Seller | null;
  readonly sellers: readonly Seller[];
}

/** How long a changed file may go unnoticed, in ms. */
const LOOK_MS = 1000;

/**
 * The tokens of a file, which is read again when it has changed: a revoked token is refused within a second.
 *
 * @param now - milliseconds since 1970.
 * @param onChange - told after the file was read again, or why it could not be.
 * @throws ConfigError when the file cannot be read at first.
 */
export function watchTokens(path: string, now: () => number, onChange: (fault: Error | null) => void): TokenRegister {
  let sellers = readSellers(path);
  let byHash = new Map(sellers.map((seller) => [seller.sha256, seller]));
  let stamp = stampOf(path);
  let lookedAt = now();

  const lookAgain = (): void => {
    if (Math.abs(now() - lookedAt) < LOOK_MS) return;
    lookedAt = now();
    const seen = stampOf(path);
    if (seen === stamp) return;
    stamp = seen;
    let fault: Error | null = null;
    try {
      sellers = readSellers(path);
    } catch (error) {
      sellers = [];
      fault = error as Error;
    }
    byHash = new Map(sellers.map((seller) => [seller.sha256, seller]));
    onChange(fault);
  };
  return {
    get sellers() {
      return sellers;
    },
    find: (token) => {
      lookAgain();
      if (!TOKEN.test(token)) return null;
      // Looked up by hash: how long that takes says nothing that helps to find a token.
      const seller = byHash.get(tokenHash(token));
      return seller === undefined || now() >= 1000 * seller.expires ? null : seller;
    },
  };
}

function stampOf(path: string): string {
  try {
    const { mtimeNs, size, ino } = statSync(path, { bigint: true });
    return `${mtimeNs}/${size}/${ino}`;
  } catch {
    return 'absent';
  }
}
