import { toHex } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { leafHash } from '../../crypto/merkle.ts';
import { type Policy, parsePolicy } from '../../crypto/policy.ts';
import { parseProof, verifyProof } from '../../crypto/tlog-proof.ts';
import { readRequired, writeDurably } from '../config/files.ts';
import { logSource } from '../log/log-source.ts';
import { proveLeaf } from '../log/prove.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { CliError, usageError } from './exit.ts';
import { print, printable } from './output.ts';

/** @throws usage error: a policy that cannot be read decides nothing. */
export function readPolicy(path: string): Policy {
  const file = readRequired(path, 'the policy file');
  try {
    return parsePolicy(nodePrimitives, file);
  } catch (cause) {
    throw usageError(`${path} is no C2SP tlog-policy: ${(cause as Error).message}`, { cause });
  }
}

export interface ProveFlags {
  readonly log: string;
  readonly policy?: string;
  readonly out?: string;
  readonly leafOut?: string;
}

/** `veilsum log prove LEAF`. */
export async function writeProof(leaf: string, flags: ProveFlags): Promise<void> {
  const isHash = /^[0-9a-f]{64}$/.test(leaf);
  if (!isHash && !/^(0|[1-9][0-9]{0,14})$/.test(leaf)) {
    throw usageError(`'${printable(leaf)}' is neither the index of a leaf nor its hash (64 hexadecimal digits)`);
  }
  const policy = flags.policy === undefined ? null : readPolicy(flags.policy);
  const { index, size, proof, entry } = await proveLeaf(
    nodePrimitives,
    logSource(flags.log),
    isHash ? leaf : Number(leaf),
    policy,
  );
  const out = flags.out ?? `leaf-${index}.tlog-proof`;
  writeDurably(out, proof);
  if (flags.leafOut !== undefined) writeDurably(flags.leafOut, entry);
  const signed = policy === null ? 'signatures not looked at: no --policy' : 'signed and cosigned as the policy asks';
  print(`${out}: leaf ${index} is in the log of ${size} leaves (${signed}).`);
}

export interface VerifyProofFlags {
  readonly leaf: string;
  readonly policy: string;
}

/** `veilsum log verify-proof FILE`: offline. */
export function checkProof(path: string, flags: VerifyProofFlags): void {
  const policy = readPolicy(flags.policy);
  const entry = readRequired(flags.leaf, 'the leaf');
  const file = readRequired(path, 'the proof');
  const hash = leafHash(nodePrimitives, entry);
  try {
    const proof = parseProof(file);
    const { checkpoint, cosignatures } = verifyProof(nodePrimitives, proof, hash, policy);
    print(`verified: leaf ${proof.index} of ${checkpoint.size} in ${printable(checkpoint.origin)}`);
    print(`leaf hash ${toHex(hash)}`);
    for (const { witness, timestamp } of cosignatures) {
      print(`cosigned by ${printable(witness.name)} at ${new Date(timestamp * 1000).toISOString()}`);
    }
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new CliError(
      'NOT_PROVEN',
      `${path} does not prove that this leaf is in a log of the policy: ${cause.message}`,
      {
        cause,
      },
    );
  }
}
