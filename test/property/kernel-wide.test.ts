import { expect, it } from 'vitest';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { createSealEngine } from '../../crypto/engine-seal.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { gaussian, runRound, shapeFor } from '../reference/engine-lab.ts';

// A file of its own, since node-seal takes seconds to set up fourteen primes.
it('the ring of a million parameters: equal to node-seal', async () => {
  const shape = shapeFor(1e6);
  expect([shape.degree, shape.primes.length]).toEqual([16384, 14]);
  using kernel = await createKernelEngine(loadKernelModule(), shape);
  using seal = await createSealEngine(shape);
  const key = new Int16Array(shape.degree);
  kernel.sampleGaussian(gaussian(1), key);
  const [mine, theirs] = [kernel, seal].map((engine) => runRound(engine, key, 256, 5));
  expect(mine).toEqual(theirs);
  expect(mine).toMatchObject({ fits: true, exact: true });
});
