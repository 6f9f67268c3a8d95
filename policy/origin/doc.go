// Package origin tells what a container runs and where that came from, by looking at containerd's own stores.
//
// Neither a name nor a digest that is reported with a container is taken for what runs. containerd finds the
// image of a container through whichever of its names sorts first, and a tenant can make that name lead elsewhere
// between two steps of containerd's (seen with containerd 2.4.2: the right config digest, an index that does list
// the signed manifest, and the attacker's root filesystem). Two things cannot be made to lie, and everything here
// rests on them: the parent of the snapshot that was prepared for the container, which names its layers by their
// hash, and blobs that were hashed when they were read.
//
//   - [Containerd.Content]: does the snapshot prepared for a container belong to this config digest, or to which?
//   - [Containerd.Image]: which manifests and indexes have this config digest, and under which references did they
//     get here?
//   - [Containerd.Volume]: whose files does an image volume hold?
//
// # Memory
//
// While [Containerd.Run] follows containerd's image events, an image that is known is answered for from memory. What
// stands in memory may lag behind containerd for as long as an event travels, so an answer says whether it was
// compared with containerd since the last change that concerned it, and [Containerd.Confirm] has it compared. When
// the event stream is lost nothing is answered from memory until it is back and everything was listed again.
//
// # Hostile images
//
// Whoever may create a pod may have anything pulled. Blobs over 4 MiB and indexes with more than 10,000 descriptors
// are not read, the reading of one image is cut off at 10,000 descriptors or 64 MiB in all, and what cannot be read
// is remembered next to the image that asked for it and concerns no other.
package origin
