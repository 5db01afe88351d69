/**
 * The inner loops of chunker and filters in WebAssembly's text format, and the way from there to
 * `src/content/kernels/module.ts`: `node shared/scripts/kernels.ts`. A test holds that file to this
 * one.
 *
 * Each does exactly what its twin in TypeScript does (`chunker.ts`, `samples.ts`), which says
 * why; here stands only how.
 */
import { writeFileSync } from 'node:fs';
import wabt from 'wabt';

/**
 * Where a block of differences lies: behind the gear table, in the kernels' own memory (`OWN_BYTES`
 * of `kernels.ts`).
 */
const DIFFERENCES = 4096;
/**
 * Samples whose differences are made before they are folded and taken apart: few enough to stay in
 * the first cache.
 */
const BLOCK_SAMPLES = 512;

const times = (count: number, text: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => text(at)).join('\n');
const range = (from: number, count: number, step = 1): string =>
  Array.from({ length: count }, (_, at) => from + at * step).join(' ');

/**
 * `hash = (hash << 1) + table[byte]`; out of the loop when the hash has only zeros under the mask.
 */
const rollByte = (at: number): string => `
  (local.set $hash (i32.add
    (i32.shl (local.get $hash) (i32.const 1))
    (i32.load (i32.shl (i32.load8_u offset=${at} (local.get $at)) (i32.const 2)))))
  (br_if $cut${at} (i32.eqz (i32.and (local.get $hash) (local.get $mask))))`;

const findCut = `
(func (export "findCut") (param $at i32) (param $to i32) (param $before i32) (param $mask i32) (result i32)
  (local $hash i32)
  (local.set $hash (local.get $before))
  ${times(8, (at) => `(block $cut${7 - at}`)}
    (block $short
      (loop $eight
        (br_if $short (i32.gt_u (i32.add (local.get $at) (i32.const 8)) (local.get $to)))
        ${times(8, rollByte)}
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $eight)))
    (block $end
      (loop $one
        (br_if $end (i32.ge_u (local.get $at) (local.get $to)))
        ${rollByte(0)}
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $one)))
    (global.set $rolled (local.get $hash))
    (return (i32.const 0))
  ${times(8, (at) => `)\n(return (i32.add (local.get $at) (i32.const ${at + 1})))`)}
)`;

/**
 * The difference of one sample from the prediction, wrapped to 16 bits, and the prediction's next
 * value.
 */
const difference = (at: number): string => `
  (local.set $value (i32.load16_s offset=${2 * at} (local.get $in)))
  (local.set $difference (i32.sub (local.get $value) (local.get $prediction)))
  (i32.store16 offset=${2 * at} (local.get $to) (local.get $difference))
  (if (i32.ne (i32.extend16_s (local.get $difference)) (local.get $difference))
    (then
      (local.set $prediction (i32.extend16_s (i32.add (local.get $prediction)
        (i32.shr_s (i32.add (i32.extend16_s (local.get $difference)) (local.get $half)) (local.get $slowness))))))
    (else
      ;; The same number, by a shorter way from one prediction to the next: prediction + ((value - prediction + half) >> slowness).
      (local.set $prediction (i32.shr_s
        (i32.add (i32.add (local.get $value) (local.get $half))
          (i32.sub (i32.shl (local.get $prediction) (local.get $slowness)) (local.get $prediction)))
        (local.get $slowness)))))`;

/** 8 differences, folded: small ones of either sign have a high byte of zero. */
const folded = (offset: number): string => `
  (v128.xor
    (i16x8.shl (local.tee $lanes (v128.load offset=${offset} (local.get $to))) (i32.const 1))
    (i16x8.shr_s (local.get $lanes) (i32.const 15)))`;

const split2 = `
(func (export "split2") (param $in i32) (param $count i32) (param $low i32) (param $high i32) (param $slowness i32)
  (local $half i32) (local $prediction i32) (local $value i32) (local $difference i32)
  (local $to i32) (local $end i32) (local $lanes v128) (local $first v128) (local $second v128)
  (local.set $half (i32.shr_u (i32.shl (i32.const 1) (local.get $slowness)) (i32.const 1)))
  (block $done
    (loop $block
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $end (i32.add (local.get $in) (i32.shl
        (select (local.get $count) (i32.const ${BLOCK_SAMPLES}) (i32.lt_u (local.get $count) (i32.const ${BLOCK_SAMPLES}))) (i32.const 1))))
      (local.set $to (i32.const ${DIFFERENCES}))
      (block $enough
        (loop $four
          (br_if $enough (i32.gt_u (i32.add (local.get $in) (i32.const 8)) (local.get $end)))
          ${times(4, difference)}
          (local.set $in (i32.add (local.get $in) (i32.const 8)))
          (local.set $to (i32.add (local.get $to) (i32.const 8)))
          (br $four)))
      (block $all
        (loop $one
          (br_if $all (i32.ge_u (local.get $in) (local.get $end)))
          ${difference(0)}
          (local.set $in (i32.add (local.get $in) (i32.const 2)))
          (local.set $to (i32.add (local.get $to) (i32.const 2)))
          (br $one)))
      (local.set $end (local.get $to))
      (local.set $to (i32.const ${DIFFERENCES}))
      (block $few
        (loop $sixteen
          (br_if $few (i32.gt_u (i32.add (local.get $to) (i32.const 32)) (local.get $end)))
          (local.set $first ${folded(0)})
          (local.set $second ${folded(16)})
          (v128.store (local.get $low) (i8x16.shuffle ${range(0, 16, 2)} (local.get $first) (local.get $second)))
          (v128.store (local.get $high) (i8x16.shuffle ${range(1, 16, 2)} (local.get $first) (local.get $second)))
          (local.set $low (i32.add (local.get $low) (i32.const 16)))
          (local.set $high (i32.add (local.get $high) (i32.const 16)))
          (local.set $to (i32.add (local.get $to) (i32.const 32)))
          (local.set $count (i32.sub (local.get $count) (i32.const 16)))
          (br $sixteen)))
      (block $none
        (loop $rest
          (br_if $none (i32.ge_u (local.get $to) (local.get $end)))
          (local.set $difference (i32.load16_s (local.get $to)))
          (local.set $value (i32.xor
            (i32.shl (local.get $difference) (i32.const 1)) (i32.shr_s (local.get $difference) (i32.const 31))))
          (i32.store8 (local.get $low) (local.get $value))
          (i32.store8 (local.get $high) (i32.shr_u (local.get $value) (i32.const 8)))
          (local.set $low (i32.add (local.get $low) (i32.const 1)))
          (local.set $high (i32.add (local.get $high) (i32.const 1)))
          (local.set $to (i32.add (local.get $to) (i32.const 2)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br $rest)))
      (br $block))))`;

/** Adds to each lane the lanes `by` places before it. */
const plusLanesBefore = (by: number): string => `
  (local.set $sums (i16x8.add (local.get $sums)
    (i8x16.shuffle ${range(16 - 2 * by, 16)} (v128.const i32x4 0 0 0 0) (local.get $sums))))`;

/**
 * The steps of the prediction: `(difference + half) >> slowness`, which is the shifted difference,
 * rounded by the bit below.
 */
const join2 = `
(func (export "join2") (param $low i32) (param $high i32) (param $out i32) (param $count i32) (param $slowness i32)
  (local $differences v128) (local $lanes v128) (local $sums v128) (local $predictions v128) (local $rounding v128)
  (local $below i32) (local $value i32) (local $prediction i32)
  (local.set $below (select (i32.sub (local.get $slowness) (i32.const 1)) (i32.const 0) (local.get $slowness)))
  (local.set $rounding (i16x8.splat (i32.ne (local.get $slowness) (i32.const 0))))
  (block $few
    (loop $eight
      (br_if $few (i32.lt_u (local.get $count) (i32.const 8)))
      (local.set $lanes (i8x16.shuffle ${times(8, (at) => `${at} ${16 + at}`)}
        (v128.load64_zero (local.get $low)) (v128.load64_zero (local.get $high))))
      (local.set $differences (v128.xor
        (i16x8.shr_u (local.get $lanes) (i32.const 1))
        (i16x8.neg (v128.and (local.get $lanes) (v128.const i16x8 1 1 1 1 1 1 1 1)))))
      (local.set $sums (i16x8.add
        (i16x8.shr_s (local.get $differences) (local.get $slowness))
        (v128.and (i16x8.shr_s (local.get $differences) (local.get $below)) (local.get $rounding))))
      ${times(3, (at) => plusLanesBefore(1 << at))}
      (v128.store (local.get $out) (i16x8.add (local.get $differences) (i16x8.add (local.get $predictions)
        (i8x16.shuffle ${range(14, 16)} (v128.const i32x4 0 0 0 0) (local.get $sums)))))
      (local.set $predictions (i16x8.add (local.get $predictions)
        (i8x16.shuffle ${times(8, () => '14 15')} (local.get $sums) (local.get $sums))))
      (local.set $low (i32.add (local.get $low) (i32.const 8)))
      (local.set $high (i32.add (local.get $high) (i32.const 8)))
      (local.set $out (i32.add (local.get $out) (i32.const 16)))
      (local.set $count (i32.sub (local.get $count) (i32.const 8)))
      (br $eight)))
  (local.set $prediction (i16x8.extract_lane_s 0 (local.get $predictions)))
  (block $none
    (loop $one
      (br_if $none (i32.eqz (local.get $count)))
      (local.set $value (i32.or (i32.load8_u (local.get $low)) (i32.shl (i32.load8_u (local.get $high)) (i32.const 8))))
      (local.set $value (i32.xor
        (i32.shr_u (local.get $value) (i32.const 1)) (i32.sub (i32.const 0) (i32.and (local.get $value) (i32.const 1)))))
      (i32.store16 (local.get $out) (i32.add (local.get $prediction) (local.get $value)))
      (local.set $prediction (i32.add (local.get $prediction) (i32.shr_s
        (i32.add (local.get $value) (i32.shr_u (i32.shl (i32.const 1) (local.get $slowness)) (i32.const 1)))
        (local.get $slowness))))
      (local.set $low (i32.add (local.get $low) (i32.const 1)))
      (local.set $high (i32.add (local.get $high) (i32.const 1)))
      (local.set $out (i32.add (local.get $out) (i32.const 2)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $one))))`;

const module = `(module
(import "arena" "memory" (memory 1))
(global $rolled (export "rolled") (mut i32) (i32.const 0))
${findCut}
${split2}
${join2}
)`;

/** `module.ts` as it should be. */
export async function kernelsSource(): Promise<string> {
  const { parseWat } = await wabt();
  const { buffer } = parseWat('kernels.wat', module, {
    simd: true,
    sign_extension: true,
    mutable_globals: true,
  }).toBinary({});
  const lines =
    Buffer.from(buffer)
      .toString('base64')
      .match(/.{1,120}/g) ?? [];
  return [
    '/** Made by `node shared/scripts/kernels.ts`: WebAssembly, in base64. */',
    'export const KERNELS: string = [',
    ...lines.map((line) => `  '${line}',`),
    "].join('');",
    '',
  ].join('\n');
}

if (import.meta.main)
  writeFileSync(
    new URL('../src/content/kernels/module.ts', import.meta.url),
    await kernelsSource(),
  );
