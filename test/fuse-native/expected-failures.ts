/**
 * POSIX checks (test/posix/checks) that a mount with transport=libfuse does not pass, and why. docs/TRANSPORTS.md explains
 * each reason. A check may pass all the same where the reason is a race, or where it is skipped for the user at hand.
 */
const CALLER = 'the addon does not say who asks: new files belong to the user who mounted';
const LISTS =
  'libfuse 2 cannot have access control lists applied: their files are open to the owner only on a shared mount';
const UMASK = 'the kernel has applied the umask, whatever default list the directory has';
const MILLISECONDS = 'times have milliseconds';
const BIRTH = 'no time of birth';
const UTF8 = 'names must be UTF-8';
const RENAMEAT2 = 'libfuse 2 does not know renameat2 with flags';
const TMPFILE = 'libfuse 2 does not know O_TMPFILE';
const FALLOCATE = 'the addon does not know fallocate';
const HOLES = 'libfuse 2 does not know SEEK_DATA and SEEK_HOLE';
const REPLACING = 'replacing an open file by rename is two steps';
const REMOVED_DIRECTORY = 'a removed directory has no path any more, nor has what was open in it';
const HARD_LINKS = 'to the kernel each name of a file is a file of its own';

export const expectedFailures: Readonly<Record<string, string>> = {
  'names/names_that_are_not_UTF_8_are_kept_byte_for_byte': UTF8,
  'names/no_leftovers_stay_after_an_open_file_was_unlinked': REMOVED_DIRECTORY,
  'links/attributes_set_through_one_name_are_seen_through_the_other': MILLISECONDS,
  'rename/NOREPLACE_spares_what_exists': RENAMEAT2,
  'rename/EXCHANGE_swaps_two_names': RENAMEAT2,
  'rename/readers_of_a_file_that_is_replaced_again_and_again_see_whole_versions': REPLACING,
  'attributes/times_are_kept_to_the_nanosecond': MILLISECONDS,
  'attributes/UTIME_NOW_and_UTIME_OMIT_work_in_every_combination': MILLISECONDS,
  'attributes/times_of_a_symbolic_link_are_its_own': MILLISECONDS,
  'attributes/statx_tells_the_time_of_birth': BIRTH,
  'attributes/every_attribute_can_be_set_by_descriptor_after_unlink': MILLISECONDS,
  'attributes/every_attribute_can_be_set_by_descriptor_after_replacement': MILLISECONDS,
  'attributes/attributes_of_an_unlinked_directory_can_be_set_by_descriptor': REMOVED_DIRECTORY,
  'times/renaming_moves_the_times_of_both_directories': RENAMEAT2,
  'times/a_time_set_after_a_write_survives_close': MILLISECONDS,
  'opening/O_TMPFILE_has_no_name_until_it_is_linked': TMPFILE,
  'opening/O_TMPFILE_with_O_EXCL_can_never_be_linked': TMPFILE,
  'opening/many_nameless_files_keep_apart': TMPFILE,
  'space/fallocate_grows_a_file_with_zeros': FALLOCATE,
  'space/fallocate_can_keep_the_size': FALLOCATE,
  'space/a_punched_hole_reads_as_zeros_and_frees_its_blocks': FALLOCATE,
  'space/zeroing_a_range_leaves_the_rest': FALLOCATE,
  'space/lseek_finds_data_and_holes': HOLES,
  'space/a_sparse_file_can_be_walked_by_data_and_holes': HOLES,
  'acl/a_list_is_kept_and_shown_as_it_was_set': LISTS,
  'acl/a_default_list_is_inherited_instead_of_the_umask': UMASK,
  'acl/a_default_list_without_names_takes_the_place_of_the_umask': UMASK,
  'acl/a_default_list_reaches_nameless_files': TMPFILE,
  'acl/a_named_user_is_let_in_and_a_denied_one_stays_out': LISTS,
  'acl/the_mask_limits_named_users_and_groups': LISTS,
  'acl/a_denied_group_does_not_fall_through_to_others': LISTS,
  'acl/lists_on_directories_guard_search_and_creation': LISTS,
  'acl/only_the_owner_may_set_a_list': LISTS,
  'directories/names_of_255_bytes_fill_a_listing': UTF8,
  'directories/a_working_directory_that_was_removed_is_empty_and_takes_nothing': REMOVED_DIRECTORY,
  'directories/an_open_directory_that_was_removed_lists_nothing': REMOVED_DIRECTORY,
  'permissions/new_files_belong_to_who_makes_them': CALLER,
  'permissions/nameless_files_belong_to_who_makes_them': TMPFILE,
  'permissions/many_users_create_at_the_same_time_and_each_owns_what_is_its_own': CALLER,
  'permissions/setgid_directories_hand_their_group_on': CALLER,
  'permissions/the_setgid_bit_of_a_new_file_needs_membership_of_its_group': CALLER,
  'permissions/sticky_directories_let_only_owners_remove': CALLER,
  'permissions/group_membership_of_the_directory_lets_members_create': CALLER,
  'locks/flock_follows_the_file_not_its_name': HARD_LINKS,
};
