package doctor

import (
	"google.golang.org/grpc/status"

	"github.com/countersign/countersign/policy"
)

// canaryChecks are the checks that prove that policies are enforced.
func canaryChecks() []Check {
	return []Check{
		{
			"canary_refused", "a container that its policy refuses is refused",
			"see to the answers above that are not yes; then systemctl restart countersign, and look at its log", canaryRefused,
		},
		{
			"canary_admitted", "a container that its policy admits runs",
			"see to the answers above that are not yes; then systemctl restart countersign, and look at its log", canaryAdmitted,
		},
		{
			"canary_removed", "nothing of these containers is left",
			"run countersign doctor again, which removes it; if containerd does not answer, restart containerd", canaryRemoved,
		},
	}
}

func canaryRefused(n *Node) Answer {
	switch found := n.Canaries; {
	case found == nil:
		return unknown(withoutConfig())
	case found.Setup != nil:
		return unknown(found.Setup)
	case isReason(found.Refused, policy.Rejected):
		return yes("")
	case found.Refused == nil:
		return no("containerd created a container that the policy refuses")
	case isDeadline(found.Refused):
		return unknown(found.Refused)
	default:
		return no("it is not refused by its policy, but: " + messageOf(found.Refused))
	}
}

// messageOf returns what containerd says, without the code of gRPC.
func messageOf(err error) string { return status.Convert(err).Message() }

func canaryAdmitted(n *Node) Answer {
	switch found := n.Canaries; {
	case found == nil:
		return unknown(withoutConfig())
	case found.Setup != nil:
		return unknown(found.Setup)
	case isDeadline(found.Admitted):
		return unknown(found.Admitted)
	case found.Admitted != nil:
		return no(messageOf(found.Admitted))
	default:
		return yes("")
	}
}

func canaryRemoved(n *Node) Answer {
	switch found := n.Canaries; {
	case found == nil:
		return unknown(withoutConfig())
	case found.Removed:
		return yes("")
	case found.Left == nil:
		return unknown(found.Setup)
	case isDeadline(found.Left):
		return unknown(found.Left)
	default:
		return no(messageOf(found.Left))
	}
}
