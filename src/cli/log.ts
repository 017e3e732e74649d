import { Command, Option } from 'commander';
import type { AnomalyFlags } from './log-anomalies.ts';
import type { MirrorFlags } from './log-mirror.ts';
import type { ProveFlags, VerifyProofFlags } from './log-proof.ts';
import type { WitnessFlags } from './log-witness.ts';
import { print } from './output.ts';
import { dirOption, examples, folderOf, listOption, numberOption } from './settings.ts';

function exportCommand(): Command {
  return new Command('export')
    .description("write the published log as a tlog-tiles folder for 'veilsum audit'; again later, it adds what is new")
    .requiredOption('--out <folder>', 'where to')
    .addOption(dirOption("the coordinator's folder, running or not"))
    .addOption(new Option('--from <url>', "the coordinator's HTTP address instead: for anybody").env('VEILSUM_LOG_URL'))
    .addHelpText(
      'after',
      examples(
        'veilsum log export --dir parties/coordinator --out log',
        'veilsum log export --from http://127.0.0.1:8080 --out log',
      ),
    )
    .action(async (options: { out: string; from?: string }, command: Command) => {
      const { exportFromFolder, exportFromUrl } = await import('./log-export.ts');
      const { size, written } =
        options.from === undefined
          ? await exportFromFolder(folderOf(command), options.out)
          : await exportFromUrl(options.from, options.out);
      print(
        `${options.out}: ${size} leaves, ${written} files written. Verify it with: veilsum audit ${options.out} --policy policy.txt`,
      );
    });
}

function proveCommand(): Command {
  return new Command('prove')
    .description('write a C2SP tlog-proof that a leaf is in the log: verified offline, by anybody, with a policy file')
    .argument('<leaf>', "the leaf's index, or its hash (64 hexadecimal digits)")
    .requiredOption('--log <url-or-folder>', 'the log over HTTP, or as an exported or mirrored folder')
    .option('--policy <file>', 'C2SP tlog-policy: refuse a checkpoint that it does not accept')
    .option('--out <file>', 'where to; default leaf-INDEX.tlog-proof')
    .option('--leaf-out <file>', "the leaf's own bytes, which verifying needs as well")
    .addHelpText(
      'after',
      examples(
        'veilsum log prove 17 --log http://127.0.0.1:8080 --policy policy.txt --out 17.tlog-proof --leaf-out 17.json',
        'veilsum log verify-proof 17.tlog-proof --leaf 17.json --policy policy.txt',
      ),
    )
    .action(async (leaf: string, flags: ProveFlags) => {
      const { writeProof } = await import('./log-proof.ts');
      await writeProof(leaf, flags);
    });
}

function verifyProofCommand(): Command {
  return new Command('verify-proof')
    .description('verify a C2SP tlog-proof, offline: signatures, quorum, path')
    .argument('<file>', 'the .tlog-proof')
    .requiredOption('--leaf <file>', 'the bytes of the leaf that is claimed to be in the log')
    .requiredOption('--policy <file>', 'C2SP tlog-policy: keys of the log and its witnesses, learnt by other means')
    .addHelpText('after', examples('veilsum log verify-proof 17.tlog-proof --leaf 17.json --policy policy.txt'))
    .action(async (file: string, flags: VerifyProofFlags) => {
      const { checkProof } = await import('./log-proof.ts');
      checkProof(file, flags);
    });
}

function mirrorCommand(): Command {
  return new Command('mirror')
    .description(
      'keep a full copy of a log, verified as it comes: signatures, quorum, tree, and that it extends what is held',
    )
    .requiredOption('--log <url>', "the log's prefix over HTTP (C2SP tlog-tiles), or a folder")
    .requiredOption('--policy <file>', 'C2SP tlog-policy: keys of the log and its witnesses, learnt by other means')
    .requiredOption('--out <folder>', "the copy: what 'veilsum audit' reads")
    .option('--once', 'bring the copy up to date and end (default)')
    .addOption(numberOption('--every <seconds>', 'go on until stopped').conflicts('once'))
    .addHelpText(
      'after',
      `
A copy that was cut off goes on where it was. A log that shows an older head or another history is refused: the copy stays
as it is, both signed heads are kept in OUT/evidence, and the exit code is 1.
${examples(
  'veilsum log mirror --log http://127.0.0.1:8080 --policy policy.txt --out mirror',
  'veilsum log mirror --log http://127.0.0.1:8080 --policy policy.txt --out mirror --every 60',
)}`,
    )
    .action(async (flags: MirrorFlags) => {
      const { mirrorLog } = await import('./log-mirror.ts');
      await mirrorLog(flags);
    });
}

function witnessCommand(): Command {
  return new Command('witness')
    .description("run a C2SP tlog-witness over HTTP: it cosigns anybody's logs, each head only if it extends the last")
    .option('--listen <host:port>', 'where to serve POST /add-checkpoint and GET /HASH/checkpoint')
    .requiredOption('--name <name>', "the key's name in notes, such as witness.example/w1; never change it")
    .requiredOption('--key <file>', '32 secret bytes, mode 0600; made where there is none')
    .option('--state <folder>', 'the heads it has cosigned; never restore it from a backup')
    .addOption(listOption('--log <vkey>', "a log's verifier key, of which the name is its origin; may be given again"))
    .option('--policy <file>', 'C2SP tlog-policy: its logs are witnessed')
    .option('--print-key', 'print the verifier key and end: what founders and policies name the witness by')
    .addHelpText(
      'after',
      examples(
        'veilsum log witness --name witness.example/w1 --key witness.key --print-key',
        'veilsum log witness --listen 0.0.0.0:8090 --name witness.example/w1 --key witness.key --state witness --policy policy.txt',
        'veilsum log witness --listen 127.0.0.1:8090 --name witness.example/w1 --key witness.key --state witness --log example.org/log+1d2e3f40+AeN...',
      ),
    )
    .action(async (flags: WitnessFlags) => {
      const { startLogWitness } = await import('./log-witness.ts');
      await startLogWitness(flags);
    });
}

function anomaliesCommand(): Command {
  return new Command('anomalies')
    .description('look for what is odd in a log that keeps all rules: aborts, dropouts, complaints, revocations, haste')
    .argument('[folder]', 'the log as a tlog-tiles folder (checkpoint, tile/...); verified before anything is said')
    .option('--policy <file>', 'C2SP tlog-policy: keys of the log and its witnesses, learnt by other means')
    .option('--genesis <hash>', 'pins genesis')
    .option(
      '--dir <folder>',
      "instead of files: the founders' or a party's folder, for the log of a running federation",
    )
    .option('--json', 'the anomalies as one JSON object')
    .option('--rules', 'print the numbered rules with their thresholds and end')
    .addHelpText(
      'after',
      `
An anomaly is no violation and no verdict: honest parties have faults, and faults have patterns. Exit codes: 0 the log was read, with
or without anomalies; 1 it does not verify, 2 files are missing, 3 usage.
${examples(
  'veilsum log anomalies log --policy policy.txt',
  'veilsum log anomalies --dir founders --json',
  'veilsum log anomalies --rules',
)}`,
    )
    .action(async (folder: string | undefined, flags: AnomalyFlags & { rules?: boolean }) => {
      const { ruleLines, showAnomalies } = await import('./log-anomalies.ts');
      if (flags.rules === true) print(ruleLines());
      else await showAnomalies(folder, flags);
    });
}

export function logCommand(): Command {
  return new Command('log')
    .description('the transparency log: export, prove, mirror, witness, anomalies')
    .addCommand(exportCommand())
    .addCommand(proveCommand())
    .addCommand(verifyProofCommand())
    .addCommand(mirrorCommand())
    .addCommand(witnessCommand())
    .addCommand(anomaliesCommand());
}
