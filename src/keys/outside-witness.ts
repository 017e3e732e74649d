import { CryptoError } from '../../crypto/errors.ts';
import { parseVkey, type Verifier } from '../../crypto/note.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { keyNameField, labelField, nameField } from '../../protocols/fields.ts';
import { ConfigError } from '../config/errors.ts';
import { urlField } from '../config/federation.ts';

/** A witness of other people (C2SP tlog-witness): no card, no certificate; its key counts, wherever it answers from. */
export interface OutsideWitness {
  readonly name: string;
  readonly organisation: string;
  /** Its cosignature key, under its own name. */
  readonly verifier: Verifier;
  /** Submission prefix. */
  readonly url: string;
}

/**
 * Reads `NAME VKEY URL`, as a line of a C2SP policy file has it after `witness`. The organisation is the URL's host.
 *
 * @throws ConfigError INVALID, naming what is wrong.
 */
export function parseOutsideWitness(p: Primitives, text: string): OutsideWitness {
  const invalid = (why: string, cause?: unknown): ConfigError => {
    return new ConfigError('INVALID', `an outside witness is 'NAME VKEY URL': ${why}`, { cause });
  };
  const [name = '', vkey = '', url = '', ...more] = text.trim().split(/[ \t]+/);
  if (more.length > 0 || !nameField.safeParse(name).success) throw invalid('the name is a word in lower case');
  if (!urlField.safeParse(url).success) throw invalid('the URL begins with http:// or https://');
  let verifier: Verifier;
  try {
    verifier = parseVkey(p, vkey);
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw invalid('not a verifier key', cause);
  }
  if (verifier.type !== 'cosignature') throw invalid("the key is a log's: a witness's is of type 0x04");
  if (!keyNameField.safeParse(verifier.name).success)
    throw invalid("the key's name is not one of letters, digits and ._~:/-");
  const host = new URL(url).hostname;
  return { name, organisation: labelField.safeParse(host).success ? host : name, verifier, url };
}
