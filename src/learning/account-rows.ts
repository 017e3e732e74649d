import { DAY_MS, parseInstant } from './instants.ts';
import { buildRows } from './region-rows.ts';
import { parseSchema } from './schema.ts';
import accountsSchema from './schemas/accounts.json' with { type: 'json' };
import type { SyntheticSettings } from './synthetic.ts';
import { SNAPSHOT, syntheticAccounts } from './synthetic-accounts.ts';
import { dropColumns, makeTable, type Table } from './table.ts';

/** The synthetic accounts of each region as records: their events counted by the schema, what is known only afterwards dropped. */
export function accountRows(settings: SyntheticSettings): Table[] {
  const schema = parseSchema(accountsSchema);
  return syntheticAccounts(settings).map(({ name, ...tables }) => {
    const read = new Map<string, Table>(Object.entries(tables));
    const now = parseInstant(SNAPSHOT) + DAY_MS;
    const { whole } = buildRows({ name, schema, tables: read, leakage: [], now });
    return makeTable(name, dropColumns(whole, ['new_contract_value']).columns);
  });
}
