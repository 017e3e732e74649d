import fc from 'fast-check';
import { expect, it } from 'vitest';
import { GrowingMap } from '../../protocols/growing-map.ts';

it('behaves as maps that are copied and extended, whichever version is extended', () => {
  const step = fc.tuple(fc.nat(1000), fc.nat(30), fc.nat());
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const versions: { map: GrowingMap<number, number>; model: ReadonlyMap<number, number> }[] = [
        { map: GrowingMap.empty(), model: new Map() },
      ];
      for (const [which, key, value] of steps) {
        const { map, model } = versions[which % versions.length]!;
        if (model.has(key)) expect(() => map.with(key, value)).toThrow(RangeError);
        else versions.push({ map: map.with(key, value), model: new Map(model).set(key, value) });
      }
      for (const { map, model } of versions) {
        expect([...map]).toEqual([...model]);
        expect([[...map.keys()], [...map.values()], map.size]).toEqual([
          [...model.keys()],
          [...model.values()],
          model.size,
        ]);
        for (let key = 0; key <= 30; key++)
          expect([map.has(key), map.get(key)]).toEqual([model.has(key), model.get(key)]);
        const seen: [number, number][] = [];
        map.forEach((value, key) => {
          seen.push([key, value]);
        });
        expect(seen).toEqual([...model]);
      }
    }),
  );
});

it('extends other maps by copying them', () => {
  const plain = new Map([['a', 1]]);
  const grown = GrowingMap.extend(plain, 'b', 2);
  expect([[...grown], [...plain]]).toEqual([
    [
      ['a', 1],
      ['b', 2],
    ],
    [['a', 1]],
  ]);
});
