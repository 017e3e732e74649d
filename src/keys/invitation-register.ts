import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fromBase64, toBase64 } from '../../crypto/encoding.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { countField } from '../../protocols/fields.ts';
import { readValidated, writeDurably } from '../config/files.ts';
import { type CheckedInvitation, checkInvitation } from './invitation.ts';

/** In the founders' folder: one file per invitation, named by its identifier. Public statements; tokens are not here. */
const FOLDER = 'invitations';

const entryFile = z.strictObject({
  version: z.literal(1),
  /** The signed invitation, base64. */
  invitation: z.string().min(1),
  /** When it was called back, ms since 1970. */
  revoked: countField.nullable(),
});

export interface KeptInvitation {
  readonly invitation: CheckedInvitation;
  readonly revoked: number | null;
}

const pathOf = (founders: string, id: string): string => join(founders, FOLDER, `${id}.json`);

function write(founders: string, id: string, entry: z.infer<typeof entryFile>): void {
  writeDurably(pathOf(founders, id), `${JSON.stringify(entry, null, 2)}\n`);
}

/** Notes an invitation that was written, so that it can be called back without its file. */
export function keepInvitation(founders: string, id: string, signed: Uint8Array): void {
  write(founders, id, { version: 1, invitation: toBase64(signed), revoked: null });
}

/**
 * Every invitation written from this folder, the one that expires first at the beginning.
 *
 * @param log - id of the log. @param rootKey - genesis's, base64.
 * @throws ConfigError INVALID, ProtocolError when somebody changed an entry.
 */
export function listInvitations(p: Primitives, founders: string, log: string, rootKey: string): KeptInvitation[] {
  const folder = join(founders, FOLDER);
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.json$/.test(name)) : [];
  return names
    .map((name) => {
      const { invitation, revoked } = readValidated(join(folder, name), 'the invitation', entryFile);
      return { invitation: checkInvitation(p, log, rootKey, fromBase64(invitation)), revoked };
    })
    .sort((a, b) => a.invitation.expires - b.invitation.expires);
}

/** From now on nobody is enrolled with it from this folder, whatever a coordinator forwards. */
export function markRevoked(founders: string, id: string, now: number): void {
  const path = pathOf(founders, id);
  if (!existsSync(path)) return; // written elsewhere, or by an earlier version
  const entry = readValidated(path, 'the invitation', entryFile);
  if (entry.revoked === null) write(founders, id, { ...entry, revoked: now });
}

export function isRevoked(founders: string, id: string): boolean {
  const path = pathOf(founders, id);
  return existsSync(path) && readValidated(path, 'the invitation', entryFile).revoked !== null;
}
