import type { Verifier } from '../../crypto/note.ts';
import { makeVerifier, parseVkey } from '../../crypto/note.ts';
import { addressField, splitAddress } from '../config/federation.ts';
import { makeWitnessKey, runLogWitness, witnessVkey } from '../party/log-witness.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { usageError } from './exit.ts';
import { readPolicy } from './log-proof.ts';
import { print, printable } from './output.ts';
import { runUntilSignal } from './run-until-signal.ts';

export interface WitnessFlags {
  readonly listen?: string;
  readonly name: string;
  readonly key: string;
  readonly state?: string;
  readonly log?: readonly string[];
  readonly policy?: string;
  readonly printKey?: boolean;
}

/** Keys of logs: named one by one, and those of a policy file. */
function logsOf(flags: WitnessFlags): Verifier[] {
  const named = (flags.log ?? []).map((text) => {
    try {
      const verifier = parseVkey(nodePrimitives, text);
      if (verifier.type === 'ed25519') return verifier;
    } catch {
      // said below
    }
    throw usageError(`--log: '${printable(text)}' is no verifier key of a log (NAME+ID+KEY, Ed25519)`);
  });
  const logs = [...named, ...(flags.policy === undefined ? [] : readPolicy(flags.policy).logs.map((l) => l.verifier))];
  if (logs.length === 0) throw usageError('which logs? Give --log VKEY, or --policy FILE with their keys');
  return logs;
}

/** `veilsum log witness`. */
export async function startLogWitness(flags: WitnessFlags): Promise<void> {
  const { name, key } = flags;
  try {
    makeVerifier(nodePrimitives, 'cosignature', name, new Uint8Array(32));
  } catch {
    throw usageError('--name: a key name has no white space and no plus, such as witness.example/w1');
  }
  const isNew = makeWitnessKey(key);
  if (flags.printKey === true) return print(witnessVkey(name, key));
  const logs = logsOf(flags);
  const listen = addressField.safeParse(flags.listen);
  if (!listen.success) throw usageError('--listen: host:port is needed');
  if (flags.state === undefined) throw usageError('--state: a folder is needed, and never one from a backup');
  const setting = { ...splitAddress(listen.data), name, keyFile: key, stateFolder: flags.state, logs };
  await runUntilSignal(
    () => {
      if (isNew) print(`new key in ${key}`);
      print(`verifier key ${witnessVkey(name, key)}`);
      return runLogWitness(setting);
    },
    ({ address }) => `witness ${name} listens on ${address}, for ${logs.length} log${logs.length === 1 ? '' : 's'}`,
  );
}
