import { chargeOf } from '../../protocols/record.ts';
import { at, badRecord, type Forgery, forgery } from './forgery.ts';
import { PaperLog, paperHash } from './paper-log.ts';

export const records: readonly Forgery[] = [
  badRecord('PARAMETERS_MISMATCH', 'an error bound that was not derived', ({ parameters }) => ({
    parameters: { ...parameters, errorBound: parameters.errorBound - 1 },
  })),
  badRecord('QUORUM_MISMATCH', 'another threshold than genesis', ({ parameters }) => ({
    parameters: { ...parameters, threshold: 3 },
  })),
  badRecord('QUORUM_MISMATCH', 'members in another order', ({ members }) => ({ members: [...members].reverse() })),
  badRecord('BELOW_MINIMUM', 'fewer organisations than genesis asks for', () => ({ minOrganisations: 1 }), {
    minOrganisations: 2,
  }),
  badRecord('BELOW_MINIMUM', 'a round without noise', ({ noise }) => ({ noise: { ...noise, sigma2Numerator: '0' } })),
  badRecord('CHARGE_MISMATCH', 'noise too narrow for a guarantee', () => ({
    noise: { sigma2Numerator: '1', sigma2Denominator: '1000' },
  })),
  badRecord('CHARGE_MISMATCH', 'a charge below what the noise costs', ({ charge }) => ({
    charge: { rhoNano: charge.rhoNano - 1 },
  })),
  badRecord('CHARGE_MISMATCH', 'a sensitivity of nothing', ({ noise, parameters }) => ({
    sensitivity2: '0',
    charge: { rhoNano: chargeOf({ noise, sensitivity2: '0', parameters }) },
  })),
  badRecord('CHARGE_MISMATCH', 'a sensitivity below what clip and scale allow', ({ noise, parameters, scale }) => ({
    scale: 2 * scale,
    charge: { rhoNano: chargeOf({ noise, sensitivity2: '100', parameters }) },
  })),
  badRecord('CHARGE_MISMATCH', 'another unit of privacy than the budget’s', () => ({ unit: 'node' })),
  badRecord('UNKNOWN_MODEL', 'a model that is not the newest', () => ({ modelHash: paperHash('old') })),
  badRecord('UNKNOWN_ANNOUNCE', 'another number than was announced', () => ({ number: 2 })),
  forgery('BUDGET_EXCEEDED', 'a round beyond the budget', () => {
    const log = PaperLog.founded({ budgetRhoNano: 4_000_000 }).until('release');
    log.model(log.decision);
    const record = log.record(log.announced(2));
    return { log, forged: log.leaf('coordinator', 'open', { record }), honest: null };
  }),
  forgery('BUDGET_EXCEEDED', 'two rounds at once that only one can pay', () => {
    const log = PaperLog.founded({ budgetRhoNano: 4_000_000 }).until('open');
    const record = log.record(log.announced(2), { window: 'another' });
    return {
      log,
      forged: log.leaf('coordinator', 'open', { record }),
      honest: log.leaf('node-1', 'upload', log.upload('node-1')),
    };
  }),
  forgery('WINDOW_DECIDED', 'a second opening over the same model and window', () => {
    const log = at('release');
    const record = log.record(log.announced(2));
    return {
      log,
      forged: log.leaf('coordinator', 'open', { record }),
      honest: log.leaf('coordinator', 'open', { record: { ...record, window: 'another' } }),
    };
  }),
];
