/** Program and version as the operator sees them. */
export const software = 'aliquot-agent 0.1.0';
