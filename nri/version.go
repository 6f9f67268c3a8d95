package nri

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// From containerd 2.4 on, NRI reports the image of a container.
const (
	oldestMajor = 2
	oldestMinor = 4
)

// ErrUnsupported is wrapped by the error of a registration with a runtime that cannot be served.
var ErrUnsupported = errors.New("unsupported runtime")

// checkRuntime refuses runtimes that cannot be served: an older containerd reports no images, so every container would
// be denied for a cause that is hard to find.
func checkRuntime(name, version string) error {
	if name != "containerd" {
		return fmt.Errorf(
			"%w %q: countersign serves containerd 2.4 and later (CRI-O checks signatures itself)", ErrUnsupported, name)
	}
	found := regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})\.\d`).FindStringSubmatch(version)
	if found == nil {
		return fmt.Errorf("%w: containerd calls its version %q, which cannot be told to be 2.4 or later",
			ErrUnsupported, version)
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return fmt.Errorf("%w: containerd %s does not tell NRI plugins which image a container runs: 2.4 or later is "+
			"needed", ErrUnsupported, version)
	}
	return nil
}
