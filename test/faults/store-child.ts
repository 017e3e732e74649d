// A process of its own for store.test.ts: works on a folder until it is killed or done, and prints each acknowledgement.
import { createHash } from 'node:crypto';
import { openStore } from '../../src/store/open-store.ts';

const [job, folder, name, countText] = process.argv.slice(2) as [string, string, string, string];
const count = Number(countText);
const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

await using store = await openStore(folder);
say('ready');
if (job === 'append') {
  for (let i = 0; i < count; i++) {
    const index = await store.records.transact(async (tx) => {
      const position = await tx.append('acts', Buffer.from(`${name} ${i}`));
      await tx.put('last', name, Buffer.from(String(i)));
      return position;
    });
    say(String(index));
  }
} else if (job === 'upload') {
  const content = Buffer.alloc(count, name);
  const hash = createHash('sha256').update(content).digest('hex');
  let { receivedBytes } = await store.uploads.begin('upload', { lengthBytes: count, hash });
  while (receivedBytes < count) {
    const chunk = content.subarray(receivedBytes, receivedBytes + 65_536);
    receivedBytes = await store.uploads.append('upload', receivedBytes, chunk);
    say(String(receivedBytes));
  }
  say((await store.uploads.finalise('upload')).hash);
} else if (job === 'sum') {
  // Compare and swap: adds one to a counter in the content, and its name to the meta, `count` times.
  for (let done = 0; done < count; ) {
    using current = await store.sums.open('sum');
    const before = current === undefined ? Buffer.alloc(4096) : Buffer.from(await current.read(0, 4096));
    before.writeUInt32LE(before.readUInt32LE(0) + 1, 0);
    const meta = Buffer.concat([current?.meta ?? Buffer.alloc(0), Buffer.from(name)]);
    try {
      say(String((await store.sums.replace('sum', current?.version ?? 0, meta, [before])).version));
      done++;
    } catch (error) {
      if ((error as { code?: string }).code !== 'CONFLICT') throw error;
    }
  }
}
say('done');
