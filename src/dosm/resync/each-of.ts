/** Runs something for each of some items, at most so many at once; the results in their order. Rejects with the first failure. */
export async function eachOf<T, R>(
  items: readonly T[],
  lanesMax: number,
  run: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await run(items[at]!);
  };
  await Promise.all(Array.from({ length: Math.min(lanesMax, items.length) }, lane));
  return results;
}
