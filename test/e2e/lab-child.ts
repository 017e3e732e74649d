// A party of a lab in a process of its own: argv is its setting as JSON and where SIGKILL ends it.
//   before:CALL[:KIND]  when it is about to make that call (with a leaf of that kind)
//   after:CALL[:KIND]   when that call was answered, before it knows
//   before:Upload       when it is about to send a payload that is ready on its disk
//   half-upload         when half of its payload is acknowledged
//   before:keep:KIND    as coordinator: when it is about to append a leaf of its own of that kind;  after:keep:KIND
import { Connection } from '../../src/grpc/connection.ts';
import { LogKeeper } from '../../src/party/log-keeper.ts';
import { type PartySetting, runParty } from './lab-parties.ts';

const [settingText, killAt] = process.argv.slice(2) as [string, string];
const [when, what, kind] = killAt.split(':');

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  for (;;); // the signal comes before anything else can
}

function kindOf(request: unknown): string {
  const { leaf } = request as { leaf?: Uint8Array };
  return leaf === undefined ? '' : JSON.parse(Buffer.from(leaf).toString()).kind;
}

const { callOnce, duplex } = Connection.prototype;
Connection.prototype.callOnce = async function (this: Connection, method, request, timeoutMs, signal) {
  const isHere = method.path.endsWith(`/${what}`) && (kind === undefined || kindOf(request) === kind);
  if (isHere && when === 'before') die();
  const response = await callOnce.call(this, method as never, request, timeoutMs, signal);
  if (isHere && when === 'after') die();
  return response as never;
} as typeof callOnce;

if (what === 'Upload') {
  Connection.prototype.duplex = die;
}

if (when === 'half-upload') {
  Connection.prototype.duplex = function (this: Connection, method, idleMs) {
    const stream = duplex.call(this, method as never, idleMs);
    return {
      ...stream,
      write: async (message: { part?: { $case: string; value: Uint8Array } }) => {
        if (message.part?.$case !== 'chunk') return stream.write(message);
        await stream.write({
          part: { $case: 'chunk', value: message.part.value.subarray(0, message.part.value.length >> 1) },
        });
        await stream.read();
        die();
      },
    } as never;
  } as typeof duplex;
}

const { append } = LogKeeper.prototype;
LogKeeper.prototype.append = async function (this: LogKeeper, leaf) {
  const isHere = what === 'keep' && kindOf({ leaf }) === kind;
  if (isHere && when === 'before') die();
  const index = await append.call(this, leaf);
  if (isHere && when === 'after') die();
  return index;
};

await runParty(JSON.parse(settingText) as PartySetting);
