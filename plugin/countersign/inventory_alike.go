package main

import (
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// decideAlike returns the verdicts on images that have the same layers, as [nri.DecideEvery] combines them for each
// namespace. Too many images, or none, have one verdict everywhere.
func decideAlike(
	configs []digest.Digest, namespaces []string, decide func(digest.Digest) []policy.InventoryVerdict,
) []policy.InventoryVerdict {
	if len(configs) == 1 {
		return decide(configs[0])
	}
	byConfig := map[digest.Digest][]policy.InventoryVerdict{}
	verdicts := func(config digest.Digest) []policy.InventoryVerdict {
		if _, known := byConfig[config]; !known {
			byConfig[config] = decide(config)
		}
		return byConfig[config]
	}
	var found []policy.InventoryVerdict
	at := map[string]int{}
	for _, namespace := range namespaces {
		// Namespaces whose verdicts on every image are the same have one verdict.
		key := ""
		verdict, _ := nri.DecideEvery(configs, func(config digest.Digest) policy.Verdict {
			i := slices.IndexFunc(verdicts(config), func(v policy.InventoryVerdict) bool {
				return slices.Contains(v.Namespaces, namespace)
			})
			key += fmt.Sprint(i, " ")
			return verdicts(config)[i].Verdict
		})
		i, known := at[key]
		if !known {
			i = len(found)
			at[key] = i
			found = append(found, policy.InventoryVerdict{Verdict: verdict})
		}
		found[i].Namespaces = append(found[i].Namespaces, namespace)
	}
	return found
}
