// A process of its own for log.test.ts: appends entries and signs checkpoints until killed, and prints what it was told.
import { openStore } from '../../src/store/open-store.ts';
import { openLog } from './log-fixture.ts';

const [folder, name, countText] = process.argv.slice(2) as [string, string, string];
await using store = await openStore(folder);
const log = await openLog(store.records);
process.stdout.write('ready\n');
for (let i = 0; i < Number(countText); i++) {
  const also = async (tx: { put(table: string, key: string, value: Uint8Array): Promise<void> }): Promise<void> =>
    tx.put('state', name, Buffer.from(String(i)));
  const [index] = await log.append([Buffer.from(`${name} ${i}`)], { also });
  process.stdout.write(`index ${index} ${name} ${i}\n`);
  if (i % 5 === 4) {
    const { note } = await log.checkpoint();
    process.stdout.write(`note ${Buffer.from(note).toString('base64')}\n`);
  }
}
process.stdout.write('done\n');
