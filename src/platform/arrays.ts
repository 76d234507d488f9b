// Lists, cut up.

export function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size));
}

export function partition<T>(all: readonly T[], isFirst: (each: T) => boolean): [first: T[], second: T[]] {
  const first = all.filter(isFirst);
  return [first, all.filter((each) => !first.includes(each))];
}
