import { bucketWords } from '../../protocols/buckets.ts';
import { quarrelsOf } from '../../protocols/disputes.ts';
import { suspectsOf } from '../../protocols/retry.ts';
import { roundRows } from '../party/rounds-view.ts';
import { budgetLines } from './budget.ts';
import { openCaller, readLogOnce } from './caller.ts';
import { epsilonText, printable, sizeOf, table } from './output.ts';

/** Prints the rounds, oldest first, and what is left of the budget. */
export async function listRounds(
  folder: string,
  task: string | null,
  json: boolean,
  print: (line: string) => void,
): Promise<void> {
  const { transcript } = await readLogOnce(await openCaller(folder));
  const rows = roundRows(transcript)
    .reverse()
    .map((row) => {
      const { number, task: name, bucket } = transcript.rounds.get(row.id)!.record;
      return { number, ...row, task: name, ...(bucket === undefined ? {} : { bucket }) };
    })
    .filter((row) => task === null || row.task === task);
  if (json) {
    const { budgetRhoNano, spentRhoNano, reserved } = transcript.ledger;
    const reservedRhoNano = [...reserved.values()].reduce((sum, rho) => sum + rho, 0);
    const ledger = { budgetRhoNano, spentRhoNano, reservedRhoNano };
    const tasks = [...new Set(rows.map((row) => row.task))];
    const suspects = Object.fromEntries(tasks.map((name) => [name, suspectsOf(transcript, name)]));
    const quarrels = Object.fromEntries(tasks.map((name) => [name, quarrelsOf(transcript, name)]));
    return print(JSON.stringify({ rounds: rows, ledger, suspects, quarrels }));
  }
  if (rows.length === 0) print('no rounds yet');
  else {
    const cells = rows.map((row) => [
      row.bucket === undefined ? row.number : `${row.number}${bucketWords(row.bucket)}`,
      printable(row.task),
      row.state === 'aborted' ? `aborted: ${row.reason}` : row.state,
      row.uploads,
      row.cohort,
      row.attempts,
      row.epsilon === null ? '-' : epsilonText(row.epsilon),
      sizeOf(row.bytes),
      row.id.slice(0, 12),
    ]);
    print(table(['round', 'task', 'state', 'uploads', 'set', 'attempts', 'epsilon', 'received', 'id'], cells));
  }
  for (const name of new Set(rows.map((row) => row.task))) {
    const quarrels = quarrelsOf(transcript, name);
    if (quarrels.length > 0) {
      print(`Boxes that could not be used in rounds of ${printable(name)}. One of each pair is at fault:`);
      const pairs = quarrels.map(({ node, holder, rounds }) => [printable(node), printable(holder), rounds]);
      print(table(['sealed by', 'for', 'rounds'], pairs));
    }
    const suspects = suspectsOf(transcript, name);
    if (suspects.length === 0) continue;
    print(`Rounds of ${printable(name)} that did not open had these nodes in common. Each may be honest:`);
    const shown = suspects.map(({ node, failed, opened }) => [printable(node), failed, opened]);
    print(table(['node', 'in failed rounds', 'in opened since'], shown));
  }
  for (const line of budgetLines(transcript)) print(line);
}
