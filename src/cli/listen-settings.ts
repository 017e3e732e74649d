import { z } from 'zod';
import { addressField } from '../config/federation.ts';

/** `witness.yaml`: a party that needs nothing else to be said. */
export const listenSettings = z.strictObject({ listen: addressField.optional() });

/** `member.yaml` */
export const memberSettings = listenSettings.extend({ matchingBudget: z.int().min(0).max(1e9).optional() });
