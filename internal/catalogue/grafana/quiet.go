package grafana

import "github.com/marketprism/marketprism/internal/catalogue"

const (
	untilFault   = "until it has happened"
	withoutTLS   = "without TLS"
	withoutSync  = "where the kernel's clock is not synchronized"
	withoutOther = "with the embedded engine"
	withoutNodes = "where the broker stands alone"
)

// Quiet are the metrics that a system has no series of while it is well, or not with
// every configuration, and when: they are what completes "empty …".
func Quiet() map[catalogue.Name]string {
	return map[catalogue.Name]string{
		catalogue.ActorDeadLetters:        untilFault,
		catalogue.JournalRefusals:         untilFault,
		catalogue.JournalAbandoned:        untilFault,
		catalogue.JournalRepeats:          untilFault,
		catalogue.JournalReaderReopened:   untilFault,
		catalogue.JournalFaults:           untilFault,
		catalogue.JournalUnregistered:     untilFault,
		catalogue.WriterDropped:           untilFault,
		catalogue.BrokerDeadLetters:       untilFault,
		catalogue.WriterSuspended:         withoutOther,
		catalogue.BrokerCertificateExpiry: withoutTLS,
		catalogue.BrokerNodesExpected:     withoutNodes,
		catalogue.BrokerNodesOnline:       withoutNodes,
		catalogue.BrokerMajority:          withoutNodes,
		catalogue.BrokerLeaderChanges:     withoutNodes,
		catalogue.BrokerReplicaLag:        withoutNodes,
		catalogue.HostClockOffset:         withoutSync,
		catalogue.HostClockError:          withoutSync,
	}
}
