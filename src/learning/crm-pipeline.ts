import { join } from 'node:path';
import { column, makeTable, readCsv, selectRows, type Table } from './table.ts';

/** Rows of a table by the cells of its key column, spelled as `spelling` says. */
function rowsBy(table: Table, key: string, spelling: (cell: string) => string): (cell: string) => number | undefined {
  const rows = new Map(column(table, key).map((cell, row) => [spelling(cell), row] as const));
  return (cell) => rows.get(spelling(cell));
}

/** 'GTXPro' in the pipeline is 'GTX Pro' among the products. */
const withoutBlanks = (cell: string): string => cell.replaceAll(/\s+/g, '').toLowerCase();

/**
 * The CRM sample's ended opportunities (won or lost, in file order), each with what is known when it is opened: the product's
 * price, the account's sector, size and age, the month, the sales agent's office. Blank accounts stay blank.
 *
 * @param pipeline - opportunities; its folder holds `products.csv`, `accounts.csv` and `sales_teams.csv`.
 */
export function joinPipeline(pipeline: Table, folder: string): Table {
  const stages = column(pipeline, 'deal_stage');
  const ended = stages.flatMap((stage, row) => (stage === 'Won' || stage === 'Lost' ? [row] : []));
  const rows = selectRows(pipeline, ended);
  const read = (file: string): Table => readCsv(join(folder, file), ',');
  const [products, accounts, teams] = [read('products.csv'), read('accounts.csv'), read('sales_teams.csv')];
  const joined = (key: string, of: Table, ofKey: string, wanted: string): string[] => {
    const find = rowsBy(of, ofKey, withoutBlanks);
    const cells = column(of, wanted);
    return column(rows, key).map((cell) => cells[find(cell) ?? -1] ?? '');
  };
  return makeTable(
    pipeline.name,
    new Map<string, readonly string[]>([
      ...['product', 'deal_stage'].map((name) => [name, column(rows, name)] as const),
      ['sales_price', joined('product', products, 'product', 'sales_price')],
      ...['sector', 'revenue', 'employees', 'year_established'].map(
        (name) => [name, joined('account', accounts, 'account', name)] as const,
      ),
      ['engage_month', column(rows, 'engage_date').map((date) => date.slice(5, 7))],
      ['regional_office', joined('sales_agent', teams, 'sales_agent', 'regional_office')],
    ]),
  );
}
