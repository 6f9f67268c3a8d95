package policy

import (
	"context"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Inventory decides about images in many namespaces. It evaluates equal requirements once for each image, however many
// namespaces they apply to. It uses the documents as they were when it was created.
type Inventory struct {
	decider *Decider
	groups  []inventoryGroup
}

// inventoryGroup are namespaces with one document.
type inventoryGroup struct {
	namespaces []string
	document   *Document
	noIdentity bool
	// denied is the verdict if there is no document that can be used.
	denied *Verdict
}

// InventoryVerdict is the verdict on an image in some namespaces.
type InventoryVerdict struct {
	Verdict Verdict
	// Namespaces have different documents, which apply the same requirements to the image.
	Namespaces []string
}

// Inventory returns an Inventory for namespaces.
func (d *Decider) Inventory(namespaces []string) *Inventory {
	type key struct {
		document   *Document
		noIdentity bool
		denied     string
	}
	inventory, at, set := &Inventory{decider: d}, map[key]int{}, d.sources.Documents()
	for _, namespace := range namespaces {
		group := inventoryGroup{noIdentity: d.sources.NoIdentity != nil && d.sources.NoIdentity(namespace)}
		document, err := set.For(namespace)
		group.document = document
		if err != nil {
			denied := Denial(err)
			group.denied = &denied
		}
		k := key{document: document, noIdentity: group.noIdentity}
		if group.denied != nil {
			k.denied = group.denied.Document + ": " + group.denied.Detail
		}
		i, known := at[k]
		if !known {
			i = len(inventory.groups)
			at[k] = i
			inventory.groups = append(inventory.groups, group)
		}
		inventory.groups[i].namespaces = append(inventory.groups[i].namespaces, namespace)
	}
	return inventory
}

// Decide returns the verdicts on an image under a reference, as the decider gives them in each namespace.
func (i *Inventory) Decide(ctx context.Context, ref reference.Named, config digest.Digest) []InventoryVerdict {
	// What decides about an image under a reference, besides the image and the reference.
	type key struct {
		first      **Requirement
		count      int
		scope      string
		noIdentity bool
	}
	var verdicts []InventoryVerdict
	scopes, at := scopesOf(ref), map[key]int{}
	for _, group := range i.groups {
		if group.denied != nil {
			verdicts = append(verdicts, InventoryVerdict{*group.denied, group.namespaces})
			continue
		}
		scope, list := group.document.selectFor(scopes, true)
		k := key{count: len(list), scope: scope, noIdentity: group.noIdentity}
		if len(list) > 0 {
			k.first = &list[0]
		}
		if at, known := at[k]; known {
			verdicts[at].Namespaces = append(verdicts[at].Namespaces, group.namespaces...)
			continue
		}
		at[k] = len(verdicts)
		q := Question{Namespace: group.namespaces[0], Reference: ref.String(), Config: config}
		verdicts = append(verdicts, InventoryVerdict{
			i.decider.Decide(ctx, q), append([]string(nil), group.namespaces...),
		})
	}
	return verdicts
}
