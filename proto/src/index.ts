/** The formats: typed values, limits, and the door through which bytes become them. */

export * from './block-types.ts';
export * from './brand.ts';
export * from './desk-types.ts';
export { blockRowCount, decodeBlock } from './door/block.ts';
export {
  clearRowBytes,
  clearRowBytesAt,
  encodeBlockClear,
  setSegmentLengths,
} from './door/block-clear.ts';
export { decodeBlockList, encodeBlockList, type ListRow } from './door/block-list.ts';
export { decodeBlockRead, type ReadSegment, SALT_BYTES } from './door/block-read.ts';
export { blockRow, hasWholeHash, rowKind } from './door/block-row.ts';
export * from './door/carry.ts';
export { ColumnWriter, MAX_DIFFERENCE } from './door/columns.ts';
export * from './door/commit.ts';
export { decodeSigned, encodeSigned } from './door/common.ts';
export { decodeDiagnosisRequestBody, encodeDiagnosisRequestBody } from './door/diagnosis.ts';
export * from './door/ended.ts';
export { decodeEntryDraft, encodeEntryDraft } from './door/entry.ts';
export * from './door/frame.ts';
export * from './door/group.ts';
export {
  decodeHoldBody,
  decodeHoldPaths,
  decodeHoldReleaseBody,
  decodeHoldResolutionBody,
  encodeHoldBody,
  encodeHoldPaths,
  encodeHoldReleaseBody,
  encodeHoldResolutionBody,
} from './door/hold.ts';
export * from './door/keys.ts';
export * from './door/log.ts';
export * from './door/page.ts';
export {
  decodeOperatorCertificateBody,
  decodeOperatorContents,
  decodePolicyBody,
  decodeSettings,
  decodeSettingsBody,
  decodeSettingsContents,
  decodeSettingsDetail,
  encodeOperatorCertificateBody,
  encodeOperatorContents,
  encodePolicyBody,
  encodeSettings,
  encodeSettingsBody,
  encodeSettingsContents,
  encodeSettingsDetail,
  OPERATOR_PURPOSES,
} from './door/policy.ts';
export {
  decodeKeptPurge,
  decodePurgeApprovalBody,
  decodePurgeCancelBody,
  decodePurgeOrderBody,
  encodeKeptPurge,
  encodePurgeApprovalBody,
  encodePurgeCancelBody,
  encodePurgeOrderBody,
} from './door/purge.ts';
export * from './door/records.ts';
export { isReleaseFile, isReleaseVersion } from './door/release.ts';
export { decodeRetentionRules, encodeRetentionRules } from './door/retention.ts';
export { decodeRowFacts, encodeRowFacts } from './door/row-facts.ts';
export * from './door/session.ts';
export * from './door/slab.ts';
export * from './errors.ts';
export * from './limits.ts';
export * from './log-types.ts';
export * from './order-types.ts';
export * from './record-types.ts';
export * from './retention-types.ts';
export * from './session-types.ts';
export * from './types.ts';
export * from './vault-types.ts';
