import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { formatDuration, formatInstant } from '@aliquot/shared/cli/format';
import type { CollectorProblem } from '../api/messages.ts';

/** What a renewal takes where people have to be asked. */
const ENDING_MS = 21 * 24 * 3_600_000;

/**
 * Whether a TLS certificate (PEM, the first of a chain) can go on, and fits the addresses by which
 * the collector is reached.
 */
export function certificateProblems(
  pem: string | Buffer,
  hosts: Iterable<string>,
  nowMs: number,
): CollectorProblem[] {
  const certificate = new X509Certificate(pem);
  const problems: CollectorProblem[] = [];
  const endsMs = Date.parse(certificate.validTo);
  const beginsMs = Date.parse(certificate.validFrom);
  const renew = 'renew it: `aliquot serve` takes what stands in its files';
  if (nowMs >= endsMs) {
    const message = `the TLS certificate ended on ${formatInstant(endsMs)}: nobody can trust it any more; ${renew}`;
    problems.push({ code: 'certificate-ended', sinceMs: endsMs, message });
  } else if (endsMs - nowMs < ENDING_MS) {
    const message = `the TLS certificate ends in ${formatDuration(endsMs - nowMs)}, on ${formatInstant(endsMs)}; ${renew}`;
    problems.push({ code: 'certificate-ending', sinceMs: nowMs, message });
  }
  if (nowMs < beginsMs) {
    const message = `the TLS certificate is valid only from ${formatInstant(beginsMs)} on: is this machine's clock right?`;
    problems.push({ code: 'certificate-not-yet', sinceMs: nowMs, message });
  }
  const foreign = [...new Set(hosts)].filter((host) => !fits(certificate, host)).sort();
  if (foreign.length > 0) {
    const message = `the TLS certificate is not for ${foreign.join(', ')}, by which this collector is reached: take one that names it, or reach it by a name that the certificate has`;
    problems.push({ code: 'certificate-name', sinceMs: nowMs, message });
  }
  return problems;
}

function fits(certificate: X509Certificate, host: string): boolean {
  return isIP(host) === 0
    ? certificate.checkHost(host) !== undefined
    : certificate.checkIP(host) !== undefined;
}

/**
 * The name or address in a request's `Host`: without the port, without brackets; `undefined` where
 * there is none.
 */
export function hostOf(header: string | undefined): string | undefined {
  const url =
    header === undefined || !URL.canParse(`https://${header}`)
      ? undefined
      : new URL(`https://${header}`);
  return url === undefined || url.hostname === ''
    ? undefined
    : url.hostname.replace(/^\[|\]$/g, '');
}
