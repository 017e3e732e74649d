import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SecretBytes } from '../../crypto/secret.ts';
import { overwriteFile, syncFolder, writeDurably } from '../config/files.ts';

/**
 * Secrets of running rounds, in files that must stay outside backups: one folder per round, mode 0600. `forget`
 * overwrites before it unlinks. (On copy-on-write and flash storage the old blocks may survive: said in SECURITY.md.)
 */
export class RoundFiles {
  readonly #folder: string;
  /** Rounds with a folder: asked for every round of the log at every head. */
  readonly #held: Set<string>;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Backup tools that know the tag (tar --exclude-caches, restic, borg) leave the folder out: bford.info/cachedir
    writeDurably(
      join(folder, 'CACHEDIR.TAG'),
      'Signature: 8a477f597d28d172789f06886806bc55\n# Round secrets: keep out of backups.\n',
    );
    const entries = readdirSync(folder, { withFileTypes: true });
    this.#held = new Set(entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name));
  }

  #path(round: string, name: string): string {
    return join(this.#folder, round, name);
  }

  /** Durable when it returns. */
  write(round: string, name: string, bytes: Uint8Array): void {
    if (!this.#held.has(round)) {
      mkdirSync(join(this.#folder, round), { recursive: true, mode: 0o700 });
      syncFolder(this.#folder);
      this.#held.add(round);
    }
    writeDurably(this.#path(round, name), bytes, 0o600);
  }

  has(round: string, name: string): boolean {
    return existsSync(this.#path(round, name));
  }

  /** Whether anything of a round is left, also what a crash left half written or half wiped. */
  holds(round: string): boolean {
    return this.#held.has(round);
  }

  /** Rounds of which anything is left. */
  get held(): readonly string[] {
    return [...this.#held];
  }

  read(round: string, name: string): Uint8Array | null {
    if (!this.has(round, name)) return null;
    const bytes = readFileSync(this.#path(round, name));
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  readSecret(round: string, name: string): SecretBytes | null {
    const bytes = this.read(round, name);
    return bytes === null ? null : new SecretBytes(name, bytes);
  }

  /** Wipes every file of a round. */
  forget(round: string): void {
    const folder = join(this.#folder, round);
    if (!this.#held.has(round)) return;
    for (const name of readdirSync(folder)) overwriteFile(join(folder, name));
    rmSync(folder, { recursive: true });
    this.#held.delete(round);
  }
}
