import { z } from 'zod';
import { addressField } from '../config/federation.ts';

/** `member.yaml` and `witness.yaml`: a party that needs nothing else to be said. */
export const listenSettings = z.strictObject({ listen: addressField.optional() });
