/** The release, as operators and agents see it; package.json carries the same. */
export const VERSION = '0.1.0';

export const SOFTWARE = `aliquot ${VERSION}`;
