package nri

import (
	"fmt"
	"regexp"
	"strconv"
)

// Since containerd 2.4 a container's image is part of what NRI tells of it.
const (
	oldestMajor = 2
	oldestMinor = 4
)

// checkRuntime refuses runtimes that cannot be served: an older containerd says nothing of images, so each container
// would be denied without anyone knowing why.
func checkRuntime(name, version string) error {
	if name != "containerd" {
		return fmt.Errorf(
			"the runtime is %q: countersign serves containerd 2.4 and later (CRI-O checks signatures itself)", name)
	}
	found := regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})\.\d`).FindStringSubmatch(version)
	if found == nil {
		return fmt.Errorf("containerd calls its version %q, which cannot be told to be 2.4 or later", version)
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return fmt.Errorf("containerd %s does not tell NRI plugins which image a container runs: 2.4 or later is needed",
			version)
	}
	return nil
}
