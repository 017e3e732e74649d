import { join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { syntheticAccounts } from '../learning/synthetic-accounts.ts';
import { formatCsv } from '../learning/table.ts';
import { counted } from './output.ts';

const SETTINGS = `# Made-up tables ('veilsum node sample'). In a federation 'node' is the node's folder.
node: .
features: accounts     # built in; docs/examples/crm-features.yaml spells it out
tables:
  accounts: {from: csv, path: accounts.csv}
  usage: {from: csv, path: usage.csv}
  mails: {from: csv, path: mails.csv}
`;

/** `veilsum node sample`: each region's accounts and events as files, with settings that read them. */
export function writeAccounts(out: string, seed: number, size: number, print: (line: string) => void): void {
  const regions = syntheticAccounts({ seed, size });
  for (const { name, ...tables } of regions) {
    for (const [file, table] of Object.entries(tables)) writeDurably(join(out, name, `${file}.csv`), formatCsv(table));
    writeDurably(join(out, name, 'region.yaml'), SETTINGS);
    const { accounts, usage, mails } = tables;
    const events = `${counted(usage.rowCount, 'use')}, ${counted(mails.rowCount, 'mail')}`;
    print(`${join(out, name)}: ${counted(accounts.rowCount, 'account')}, ${events}`);
  }
  const first = join(out, regions[0]!.name, 'region.yaml');
  print('Made up; who takes the next product (upsold) is in them. Next:');
  print(`  veilsum node train --config ${first} --check`);
  print('  veilsum experiment accounts --epsilon none,8 --out upsell');
  print(
    `  veilsum score --model upsell/runs/accounts/logistic-epsilon-8.safetensors --schema accounts --data ${first} --id account_id --top 10`,
  );
}
