import { fromUtf8, utf8 } from '../../../crypto/encoding.ts';
import { audit } from '../../../protocols/audit.ts';
import { reportText } from '../../../src/audit/audit-text.ts';
import { reportJson, reportOf } from '../../../src/audit/report.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { nodePrimitives } from '../../../src/platform/primitives-node.ts';
import { filesOf, PaperLog } from '../../reference/paper-log.ts';
import { remembering } from '../../reference/remembering.ts';
import { mutateJsonText } from '../mutate-json.ts';
import { chanceOf, pick } from '../random.ts';
import { law, partsOf, type Target } from '../target.ts';
import { signAs } from './leaves.ts';

const golden = PaperLog.everyKind();
const SECONDS = [1_700_000_100, 1, 8_640_000_000_000, 8_640_000_000_001, Number.MAX_SAFE_INTEGER];
/** Text for people: what a terminal shows as it stands, line by line. */
const SAFE = /^[\x20-\x7e\n\u2013\u2019\u03b5\u2026]*$/;

let p = remembering(nodePrimitives);
let runs = 0;

/** Edits of a whole log by whoever holds every key: leaves dropped, doubled, swapped, changed and signed again. */
function edited(choices: Uint8Array): { leaves: Uint8Array[]; seconds: number; witnesses: number } {
  const chance = chanceOf(choices);
  const seconds = pick(chance, SECONDS);
  const witnesses = 5 - chance.below(6);
  const leaves = [...golden.leaves];
  for (let edits = 0; edits < 6 && chance.left > 0; edits++) {
    const i = chance.below(leaves.length);
    const leaf = leaves[i] ?? new Uint8Array(0);
    switch (chance.below(6)) {
      case 0:
        leaves.splice(i, 1);
        break;
      case 1:
        leaves.splice(i, 0, leaf);
        break;
      case 2:
        leaves.length = i;
        break;
      case 3: {
        const j = chance.below(leaves.length);
        if (leaves.length > 0) [leaves[i], leaves[j]] = [leaves[j]!, leaf];
        break;
      }
      default: {
        const { sig, ...core } = JSON.parse(fromUtf8(leaf).replace(/^$/, '{}'));
        const text = mutateJsonText(chance, JSON.stringify(core));
        leaves[i] = (text === null ? null : signAs(utf8(text.toWellFormed()))) ?? leaf;
      }
    }
  }
  return { leaves: leaves.filter((leaf) => leaf.length <= 65_535), seconds, witnesses };
}

export const audits: readonly Target[] = [
  {
    name: 'audit',
    reads: 'whole logs as an auditor gets them, and the report',
    slowdown: 50,
    // How the log is edited before its head is signed; then: which file is changed afterwards, and its bytes.
    form: ['choices', 'choices', 'bytes'],
    seeds: () => [
      encodeParts([new Uint8Array(0)]),
      ...[1, 9, 20, 30].map((i) => encodeParts([Uint8Array.of(0, 0, i, 4, 1, 2, 3, 4, 5)])),
    ],
    refusals: {},
    run(input) {
      if (++runs % 512 === 0) p = remembering(nodePrimitives);
      const [choices = new Uint8Array(0), which, by] = partsOf(input) ?? [];
      const { leaves, seconds, witnesses } = edited(choices);
      const files = filesOf(leaves);
      files.set('checkpoint', golden.head(leaves, { seconds, witnesses }));
      const changed =
        which === undefined || by === undefined ? undefined : pick(chanceOf(which), [...files.keys(), 'policy']);
      if (changed !== undefined && by !== undefined) files.set(changed, by);
      const log = audit(p, {
        policyFile: changed === 'policy' ? by! : golden.policyFile,
        checkpoint: files.get('checkpoint')!,
        readFile: (path) => files.get(path),
        genesisPin: null,
        since: golden.head(golden.leaves.slice(0, 5)),
      });
      const report = reportOf(log, null);
      law(SAFE.test(reportText(report)), 'the report holds printable text only');
      JSON.stringify(reportJson(report));
      law(log.verdict !== 'verified' || leaves.length >= 5, 'a log that lost leaves is not verified');
      return log.verdict === 'verified';
    },
  },
];
