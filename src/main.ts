import { EXIT, exitCodeOf, reportError } from './cli/exit.ts';
import { buildProgram } from './cli/program.ts';
import { collectBuffersWithHeap } from './platform/buffer-collection.ts';

collectBuffersWithHeap();

// grpc-js prints lines of its own about what is reported here by name.
process.env['GRPC_VERBOSITY'] ??= 'NONE';

/** Runs one command and ends the process with its exit code; whatever is still open ends with it. */
async function main(): Promise<number> {
  try {
    await buildProgram().parseAsync(process.argv);
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    reportError(error, (line) => process.stderr.write(line), process.env['VEILSUM_DEBUG'] === '1');
    return exitCodeOf(error);
  }
}

// A reader that went away (`| head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});
const code = await main();
// Output to pipes may still be on its way.
process.stdout.write('', () => process.exit(code));
