import { readFileSync } from 'node:fs';

function readVersion(): string {
  // src/party/version.ts in a checkout, dist/src/party/version.js in a package.
  for (const relative of ['../../package.json', '../../../package.json']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(relative, import.meta.url), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (manifest.name === 'veilsum' && manifest.version !== undefined) return manifest.version;
    } catch {
      // not there: try the next place
    }
  }
  return 'unknown';
}

export const VERSION = readVersion();
