// Keeps a transcript of this version in test/transcripts: run once at a release, before it is tagged. npm run transcript
// What later auditors must still say of it is in its expected.json; test/attacks/p35-old-transcripts.test.ts asks them.
const { currentVersion, TRANSCRIPTS, writeTranscript } = await import('../test/transcripts/write.ts');
if (process.argv.includes('--help')) {
  console.log(
    'npm run transcript: writes test/transcripts/<version of package.json>, and never over one that is there.',
  );
} else {
  try {
    console.log(`Written: ${await writeTranscript(TRANSCRIPTS, currentVersion())}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
process.exit();
