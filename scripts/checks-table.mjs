// Writes the table of the auditor's checks into protocols/checks.md, between its two markers.
// Run: node src/launcher.mjs --script scripts/checks-table.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { checksTable } from '../protocols/checks.ts';

const file = new URL('../protocols/checks.md', import.meta.url);
const [before, rest] = readFileSync(file, 'utf8').split('<!-- table -->\n');
const after = rest.split('<!-- end of table -->\n')[1];
writeFileSync(file, `${before}<!-- table -->\n${checksTable()}<!-- end of table -->\n${after}`);
