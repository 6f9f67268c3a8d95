package node_test

import (
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestFreePortsAreDifferentAndForServersOnly fails if two servers of one test can get the same port, or one that an
// outgoing connection of another program can take before the server binds it.
func TestFreePortsAreDifferentAndForServersOnly(t *testing.T) {
	outgoing := rig.Must(os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"))(t)
	first := rig.Must(strconv.Atoi(strings.Fields(string(outgoing))[0]))(t)
	ports := rig.Must(node.FreePorts(t.Context(), 200))(t)
	slices.Sort(ports)
	if last := ports[len(ports)-1]; last >= first {
		t.Errorf("port %d can be taken by an outgoing connection, which takes one from %d on", last, first)
	}
	if different := slices.Compact(slices.Clone(ports)); len(different) != len(ports) {
		t.Errorf("%d of %d ports are different: %v", len(different), len(ports), ports)
	}
	for _, port := range ports {
		listener := rig.Must(new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("", strconv.Itoa(port))))(t)
		rig.OK(t, listener.Close())
	}
}
