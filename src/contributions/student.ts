/**
 * P(|T| >= |t|) for Student's t with a whole number of degrees of freedom: a finite sum (Abramowitz, Stegun, Handbook of
 * Mathematical Functions, 26.7.3 and 26.7.4).
 */
export function bothTails(t: number, degrees: number): number {
  const theta = Math.atan(Math.abs(t) / Math.sqrt(degrees));
  const cos2 = Math.cos(theta) ** 2;
  const isOdd = degrees % 2 === 1;
  // cos theta (1 + 2/3 cos^2 + ...) for odd degrees, 1 + 1/2 cos^2 + ... for even ones.
  let term = isOdd ? Math.cos(theta) : 1;
  let sum = 0;
  for (let k = isOdd ? 1 : 0; k <= degrees - 2; k += 2) {
    sum += term;
    term *= ((k + 1) / (k + 2)) * cos2;
  }
  const inside = isOdd ? (2 / Math.PI) * (theta + Math.sin(theta) * sum) : Math.sin(theta) * sum;
  return Math.max(0, 1 - inside);
}
